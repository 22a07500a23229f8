"""The actor: claim the notifications of a message, and wait until the senders of their provider have sent them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from functools import partial
from uuid import UUID

from dramatiq import Retry
from dramatiq.middleware import CurrentMessage

import settings
from actors.attempts import Attempts, TryElsewhere, certainly_not_taken
from actors.batches import Batch, Job
from actors.channels import NoConnection, Sender, Throttled
from actors.claim_store import ClaimStore
from actors.claiming import Claiming
from actors.evidence import evidence
from actors.failover import Failover, belongs_elsewhere
from actors.outcomes import report
from actors.provider_access import ProviderAccess
from actors.provider_queue import ProviderQueue
from actors.queue.broker import get_broker
from actors.queue.priorities import PRIORITIES, Priority
from actors.queue.wake_up import message
from actors.refused_domains import RefusedDomains
from actors.retry_policy import RetryPolicy
from actors.routed import Providers
from actors.routing import Router
from db import workers
from db.records import Attempt, Claimed, Settlement
from runtime import logs

log = logs.get("delivery")

LOOK = 0.5  # seconds between two checks of whether waiting notifications must be handed back
PUT_OFF = 1_500  # milliseconds before a message without a connection is tried again
STRAGGLERS = 10.0  # seconds; a message does not wait longer for its last notifications, which the database knows


class Again(Retry):
    """Retry the message for these `ids` only, after `delay` milliseconds."""

    def __init__(self, ids: Sequence[int], delay: int) -> None:
        super().__init__(f"{len(ids)} to be tried again", delay=delay)
        self.ids = ids


class Delivery:
    """Delivery in a worker process. Only `beaten`, `silent` and `unrecorded` are called off the event loop."""

    def __init__(
        self,
        current: settings.Settings,
        worker: UUID,
        claim_store: ClaimStore,
        providers: Providers,
        access: ProviderAccess | None = None,
    ) -> None:
        self._settings, self._claim_store, self._sandbox = current, claim_store, providers.sandbox
        self._attempts = Attempts(current, worker, claim_store)
        self.access = ProviderAccess() if access is None else access
        self.stopping = threading.Event()
        self.alive_at = time.monotonic()  # when the last heartbeat was recorded
        self._doubtful_before = float("-inf")  # time.monotonic(); others may have taken over what was claimed before it
        self.routers = {
            channel: Router(channel, [ProviderQueue(self, claim_store, one) for one in routed], self.access)
            for channel, routed in providers.of_channels.items()
        }
        self._failover = Failover(current.smtp, claim_store, self.routers)
        self.refused_domains = RefusedDomains(current, worker)
        self._claiming = Claiming(current, claim_store, self.routers, self.refused_domains)

    def beaten(self, at: float, *, late: bool) -> None:
        """Note that the heartbeat of `at` (`time.monotonic()`) is recorded.

        `late`: the one before was so long ago that other workers may have taken this one for dead.
        """
        if late:
            self._doubtful_before = time.monotonic()
        self.alive_at = at

    def silent(self, seconds: float) -> bool:
        """Return whether other workers may soon take one for dead whose last heartbeat was `seconds` ago."""
        return seconds > self._settings.delivery.worker_timeout / 2

    def unrecorded(self) -> workers.Unrecorded:
        """Return the outcomes that are not recorded yet."""
        return self._claim_store.unrecorded()

    async def deliver(self, ids: Sequence[int], priority: Priority = PRIORITIES["normal"]) -> None:
        """Deliver those of `ids` that are pending and due. Raise Again for those that must be tried again."""
        router = self.routers[priority.channel]
        tested, queue = await router.probing(), router.choose(len(ids))
        blocked = await queue.blocked_for(len(ids)) if queue else 0.0
        batch, jobs = await self._claiming.claim(ids, priority, queue, tested, blocked=bool(blocked))
        try:
            await self._send_to_sandbox([job for job in jobs if job.notification.sandbox])
            await self._finished(batch)
        finally:
            # No notification was due for the probe, or it was handed back.
            if tested and not any(job.probe and job.tried for job in jobs):
                await tested.breaker.unused()
            await self.refused_domains.unused(jobs)
        if batch.error:
            raise batch.error
        if blocked and queue and not queue.limits.limit(time.monotonic()):
            await self._put_off(ids, RetryPolicy.of(priority.channel, self._settings))
        if batch.retries:
            first, *others = sorted(batch.retries.items(), key=lambda item: len(item[1]), reverse=True)
            for delay, later in others:
                await asyncio.to_thread(get_broker().enqueue, message(later, priority.name), delay=delay)
            raise Again(first[1], first[0])

    async def close(self) -> None:
        """Wait until all outcomes are recorded. The channels are closed afterwards."""
        await asyncio.gather(*(queue.close() for queue in self.queues))

    def may_send(self, job: Job) -> bool:
        """Return whether a job may still be begun."""
        return not (job.batch.withdrawn or self._must_hand_back(job))

    async def attempt(
        self, job: Job, sender: Sender, next_notification: Claimed | None, *, patient: bool
    ) -> Settlement:
        breaker, job.tried = job.queue.breaker, True
        try:
            return await self._attempts.make(
                job,
                job.queue.name,
                sender,
                next_notification,
                patient=patient,
                elsewhere=partial(self._goes_on, job),
                evidence_wait=self._evidence_wait(job) if job.notification.on_uncertain == "hold" else None,
            )
        except NoConnection:  # It was not sent: a probe that is handed back now tells nothing, and is returned.
            job.tried = False
            raise
        except Throttled:  # A provider that says so is up.
            await breaker.heard(down=False, probe=job.probe, reason="")
            raise
        except TryElsewhere as declined:
            await self._hear(job, declined.attempt)
            raise

    def _evidence_wait(self, job: Job) -> float | None:
        return job.queue.sources.wait(self._settings.delivery.uncertain_wait)

    def _goes_on(self, job: Job, attempt: Attempt) -> bool:
        """Return whether a job that was not taken goes on elsewhere or later, and the attempt does not count."""
        moves = certainly_not_taken(attempt) and self._failover.is_possible(job)
        return moves or self.refused_domains.keeps(job, attempt)

    async def move(self, job: Job) -> None:
        await self._failover.move(job)

    async def settled(self, job: Job, settlement: Settlement) -> None:
        """Report the outcome to the breaker."""
        if job.probe or settlement.status != "sent" or job.queue.breaker.troubled or self.refused_domains.known:
            await self._hear(job, settlement.attempt)

    async def _hear(self, job: Job, attempt: Attempt) -> None:
        if job.queue.apart:
            return
        about_domain = await self.refused_domains.heard(job, attempt)
        found = evidence(job.notification, attempt)
        down = found.down and not about_domain
        await job.queue.breaker.heard(
            down=down,
            probe=job.probe,
            reason=f"{attempt.phase}: {attempt.text}" if down else "",
            about=found.about,
        )

    def recorded(self, job: Job, settlement: Settlement, *, owned: bool) -> None:
        """Report a recorded outcome, and note if and when to try again."""
        try:
            report(job.notification, settlement, job.batch.claimed_at, owned=owned)
        except Exception:  # The outcome is recorded all the same.
            log.exception("outcome.not_reported", id=settlement.id)
        if not owned:  # Another worker has taken it over, and perhaps the rest of the batch.
            job.batch.withdrawn = True
        elif settlement.delay is not None:
            # Not before the row is due, or the claim refuses it. The delay of the row began earlier.
            job.batch.retries[round(settlement.delay * 1000)].append(settlement.id)

    async def _put_off(self, ids: Sequence[int], policy: RetryPolicy) -> None:
        """Raise Again for those of `ids` that another process, which has all connections, has not sent by now."""
        if not _may_come_again(policy):
            return
        if still_due := await asyncio.to_thread(self._claim_store.still_due, ids):
            raise Again(still_due, PUT_OFF)

    async def _send_to_sandbox(self, jobs: Sequence[Job]) -> None:
        """Send to the sandbox, which needs no connection."""
        for job in jobs:
            settlement = await self._attempts.make(job, self._sandbox.provider, self._sandbox.sender())
            recorded = self._claim_store.settle(settlement)
            recorded.add_done_callback(partial(self._sandboxed, job, settlement))

    def _sandboxed(self, job: Job, settlement: Settlement, recorded: asyncio.Future[bool]) -> None:
        if error := recorded.exception():
            job.batch.error = error
        else:
            self.recorded(job, settlement, owned=recorded.result())
        job.batch.finish()

    async def _finished(self, batch: Batch) -> None:
        """Wait until a batch has ended or only slow notifications are left. Hand back what must not be sent."""
        alone_since = None
        while not batch.done.done():
            await asyncio.wait([batch.done], timeout=LOOK)
            for queue in self.queues:
                await queue.withdraw(batch)
            if self.stopping.is_set() or any(queue.holds(batch) for queue in self.queues):
                alone_since = None
            elif alone_since is None:
                alone_since = time.monotonic()
            elif time.monotonic() - alone_since > STRAGGLERS:
                return

    @property
    def queues(self) -> Sequence[ProviderQueue]:
        """The queues of all providers."""
        return [queue for router in self.routers.values() for queue in router.queues]

    def _must_hand_back(self, job: Job) -> bool:
        now, batch, queue, one = time.monotonic(), job.batch, job.queue, job.notification
        held_up = not (queue.breaker.usable or job.probe) or not self.routers[one.type].may_use(queue, one)
        held_up |= (one.bound_provider is not None and belongs_elsewhere(job)) or self.refused_domains.holds(job)
        # Other workers take over from one without heartbeats, so it must stop sending before that. If its process or
        # machine stood still in between, it must not continue.
        doubtful = self.silent(now - self.alive_at) or batch.asked_at < self._doubtful_before
        late = now - batch.asked_at > self._settings.delivery.list_budget
        return held_up or self.stopping.is_set() or doubtful or late


def _may_come_again(policy: RetryPolicy) -> bool:
    """Return whether the current message has retries left; after its last one the relay sends another message."""
    current = CurrentMessage.get_current_message()
    return current is None or current.options.get("retries", 0) < policy.attempts - 1
