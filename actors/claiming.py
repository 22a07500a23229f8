"""Claim the notifications of a message, and give each to the queue of its provider."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

from dramatiq import Retry

from actors.attempts import Delays
from actors.batches import Batch, Job
from actors.claim_store import ClaimStore
from actors.provider_queue import ProviderQueue
from actors.queue.priorities import Priority
from actors.routing import Router
from actors.wanted import Wanted
from db.database import Unavailable
from runtime import logs
from settings import Settings

log = logs.get("delivery")


class Claiming:
    """Claims for the queues of one worker process."""

    def __init__(self, settings: Settings, store: ClaimStore, routers: Mapping[str, Router]) -> None:
        self._settings, self._store, self._routers = settings, store, routers

    async def claim(
        self, ids: Sequence[int], priority: Priority, queue: ProviderQueue | None, tested: ProviderQueue | None
    ) -> tuple[Batch, list[Job]]:
        """Claim the ids for `queue`, and one notification for the provider that is `tested`; queue what was claimed.

        Without a `queue` only ids for the sandbox are claimed, which has no breaker: the rest stays as it is, and the
        relay enqueues it again when a provider works.
        """
        asked_at, promised, first = time.monotonic(), 0, queue or tested
        try:
            router = self._routers[priority.channel]
            probe = await self._candidate(tested, router)
            wanted = [*dict.fromkeys([*(ids if queue else ()), *probe])]
            promised = first.promise(len(wanted)) if first else 0
            through = {**router.names(wanted, queue), **router.names(probe, tested)}
            claimed = await self._store.claim(Wanted(wanted, () if queue else ids, promised, through))
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
        queued: dict[ProviderQueue, list[Job]] = {first: []} if first else {}
        for job in jobs:
            if not job.notification.sandbox:
                queued.setdefault(self._queue_of(job, first, tested, probe), []).append(job)
        for to, its in queued.items():
            await self._reroute([job for job in its if through.get(job.notification.id, to.name) != to.name], to)
            to.add(its, promised if to is first else 0)
            await to.shaper.shape()
        return batch, jobs

    async def _candidate(self, tested: ProviderQueue | None, router: Router) -> list[int]:
        if tested is None:
            return []
        return await asyncio.to_thread(self._store.candidate, tested.name, router.channel, tested.beginning)

    def _queue_of(
        self, job: Job, first: ProviderQueue | None, tested: ProviderQueue | None, probe: Sequence[int]
    ) -> ProviderQueue:
        """Return the queue for a claimed notification, and note whether it is the probe."""
        router, recipient = self._routers[job.notification.type], job.notification.recipient
        bound = router.named(job.notification.bound_provider)
        if bound and not bound.reaches(recipient):  # It cannot have taken it.
            bound = None
        if tested and job.notification.id in probe and bound in (None, tested):
            job.probe = True
            return tested
        if bound and not bound.breaker.usable:
            job.throttled = waiting_for(bound)
        if bound is None and first in router.reaching(recipient):
            return first
        return bound or router.choose(recipient=recipient) or _unreached(job, router)

    async def _reroute(self, jobs: Sequence[Job], to: ProviderQueue) -> None:
        """Record that jobs go through another provider than the one for which they were claimed."""
        moved = [job for job in jobs if not job.notification.bound_provider]
        if not moved:
            return
        try:
            owned = await self._store.reroute([job.notification for job in moved], to.name)
        except Unavailable:  # If this worker dies now, a notification is bound to a provider that cannot reach it.
            return
        for job in moved:
            if job.notification.id not in owned:  # Another worker has taken it over.
                job.batch.withdrawn = True


def _unreached(job: Job, router: Router) -> ProviderQueue:
    """Return a queue that hands back a job, whose recipient no working provider can reach."""
    recipient = job.notification.recipient
    able = router.reaching(recipient)
    if not able:
        job.throttled = f"waits for a provider that reaches {recipient.partition(':')[0]}: recipients"
    elif len(able) < len(router.queues):  # Messages go on while others work, so it is not to be claimed again at once.
        job.throttled = f"waits for {able[0].name}"
    return (able or router.queues)[0]


def waiting_for(queue: ProviderQueue) -> str:
    """Return why a notification waits that no other provider may send."""
    return f"waits for {queue.name}, which may have taken it"
