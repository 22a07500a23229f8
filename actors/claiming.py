"""Claim the notifications of a message, and give each to the queue of its provider."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

from dramatiq import Retry

from actors import detour
from actors.attempts import Delays
from actors.batches import Batch, Job
from actors.claim_store import ClaimStore
from actors.provider_queue import ProviderQueue
from actors.queue.priorities import Priority
from actors.refused_domains import RefusedDomains
from actors.routing import Router
from actors.wanted import Wanted
from db.database import Unavailable
from runtime import logs
from settings import Settings

log = logs.get("delivery")


class Claiming:
    """Claims for the queues of one worker process."""

    def __init__(
        self, settings: Settings, store: ClaimStore, routers: Mapping[str, Router], domains: RefusedDomains
    ) -> None:
        self._settings, self._store, self._routers, self._domains = settings, store, routers, domains

    async def claim(
        self,
        ids: Sequence[int],
        priority: Priority,
        queue: ProviderQueue | None,
        tested: ProviderQueue | None,
        *,
        blocked: bool = False,
    ) -> tuple[Batch, list[Job]]:
        """Claim the ids for `queue`, and one notification for the provider that is `tested`; queue what was claimed.

        Without a `queue` only ids for the sandbox are claimed, which has no breaker: the rest stays as it is, and the
        relay enqueues it again when a provider works. If the queue is `blocked`, ids are claimed that may not use it.
        """
        asked_at, promised, first = time.monotonic(), 0, queue or tested
        try:
            router, others = self._routers[priority.channel], ids if blocked or not queue else ()
            if blocked and queue:
                queue, ids = await detour.around(queue, ids, router)
                first = queue or tested
            probe = await self._candidate(tested, router)
            wanted = [*dict.fromkeys([*(ids if queue else ()), *probe])]
            promised = first.promise(len(wanted)) if first else 0
            through = {**router.names(wanted, queue), **router.names(probe, tested)}
            claimed = await self._store.claim(Wanted(wanted, others, promised, through))
        except Exception as error:
            if first:
                first.add([], promised)
            if tested:
                await tested.breaker.unused()
            if not isinstance(error, Unavailable):
                log.exception("claim.failed")
            raise Retry(f"claim: {error if isinstance(error, Unavailable) else type(error).__name__}") from None
        batch = Batch(claimed, priority.rank, asked_at, Delays(self._settings))
        jobs = [Job(one, batch) for one in claimed]
        for to, its in (await self._by_queue(jobs, first, tested, probe)).items():
            if len(router.queues) > 1:
                await self._reroute(its, to)
            to.add(its, promised if to is first else 0)
            await to.shaper.shape()
        return batch, jobs

    async def _candidate(self, tested: ProviderQueue | None, router: Router) -> list[int]:
        if tested is None:
            return []
        return await asyncio.to_thread(self._store.candidate, tested.name, router.channel, tested.beginning)

    async def _by_queue(
        self, jobs: Sequence[Job], first: ProviderQueue | None, tested: ProviderQueue | None, probe: Sequence[int]
    ) -> Mapping[ProviderQueue, Sequence[Job]]:
        """Return the jobs for each queue, `first` among them even if it gets none."""
        queued: dict[ProviderQueue, list[Job]] = {first: []} if first else {}
        for job in jobs:
            if not job.notification.sandbox:
                to = self._queue_of(job, first, tested, probe)
                if self._domains.known:
                    to = await self._domains.route(job, to, self._routers[job.notification.type])
                queued.setdefault(to, []).append(job)
        return queued

    def _queue_of(
        self, job: Job, first: ProviderQueue | None, tested: ProviderQueue | None, probe: Sequence[int]
    ) -> ProviderQueue:
        """Return the queue for a claimed notification, and note whether it is the probe."""
        router, one = self._routers[job.notification.type], job.notification
        bound = router.named(one.bound_provider)
        if bound and not bound.reaches(one.recipient):  # It cannot have taken it.
            bound = None
        if tested and one.id in probe and bound in (None, tested) and router.may_use(tested, one):
            job.probe = True
            return tested
        if bound and not router.allows(bound, one.client_id):
            job.throttled = f"{waiting_for(bound)}; its client may not use it any more"
        elif bound and not bound.breaker.usable:
            job.throttled = waiting_for(bound)
        if bound is None and (gone := one.bound_provider) and one.on_uncertain == "hold":
            # It is handed back until the time for evidence is over: no other provider would know the first copy.
            job.throttled = f"waits for {gone}, which may have taken it and is not configured any more"
            return first or router.queues[0]
        if bound is None and first and router.may_use(first, one):
            return first
        return bound or router.choose(notification=one) or _unreached(job, router)

    async def _reroute(self, jobs: Sequence[Job], to: ProviderQueue) -> None:
        """Record that jobs go through a provider that their rows do not name."""
        unnamed = [job for job in jobs if job.notification.claimed_provider != to.name]
        moved = [job for job in unnamed if not (job.notification.bound_provider or job.throttled)]
        if not moved:
            return
        try:
            owned = await self._store.reroute([job.notification for job in moved], to.name)
        except Unavailable:  # This process stops: what has not begun is handed back.
            return
        for job in moved:
            if job.notification.id not in owned:  # Another worker has taken it over.
                job.batch.withdrawn = True


def _unreached(job: Job, router: Router) -> ProviderQueue:
    """Return a queue that hands back a job, which no working provider may send."""
    able = router.able(job.notification)
    if not able:
        job.throttled = f"waits for {router.missing(job.notification)}"
    elif len(able) < len(router.queues):  # Messages go on while others work, so it is not to be claimed again at once.
        job.throttled = f"waits for {able[0].name}"
    return (able or router.queues)[0]


def waiting_for(queue: ProviderQueue) -> str:
    """Return why a notification waits that no other provider may send."""
    return f"waits for {queue.name}, which may have taken it"
