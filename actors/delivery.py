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
from actors.attempts import Attempts, Delays
from actors.batches import Batch, Job
from actors.breaker import ALL, NONE, ONE, Breaker
from actors.channels import Channel, Sender, Throttled
from actors.claim_store import ClaimStore
from actors.evidence import evidence
from actors.outcomes import report
from actors.provider_queue import ProviderQueue
from actors.queue.broker import get_broker
from actors.queue.priorities import PRIORITIES, Priority
from actors.queue.wake_up import message
from actors.retry_policy import RetryPolicy
from db import workers
from db.database import Unavailable
from db.models import CALLBACK
from db.records import Claimed, Settlement
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
        channels: dict[str, Channel],
        breaker: Breaker,
    ) -> None:
        self._settings, self._claim_store, self._channels, self.breaker = current, claim_store, channels, breaker
        self._attempts = Attempts(current, worker, claim_store)
        self.stopping = threading.Event()
        self.alive_at = time.monotonic()  # when the last heartbeat was recorded
        self._doubtful_before = float("-inf")  # time.monotonic(); others may have taken over what was claimed before it
        self.mails = ProviderQueue(self, claim_store, channels["email"])
        self.callbacks = ProviderQueue(self, claim_store, channels[CALLBACK])

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
        # The breaker belongs to the mail server. Callbacks go to their own endpoints.
        admitted = ALL if priority.name == CALLBACK else await self.breaker.admits()
        queue = self.callbacks if priority.name == CALLBACK else self.mails
        blocked = await queue.blocked_for(len(ids)) if admitted == ALL else 0.0
        if blocked:
            admitted = NONE
        asked_at, promised = time.monotonic(), 0
        try:
            # What is not admitted stays as it is, and the relay enqueues it again when the breaker closes. The sandbox
            # has no breaker.
            admitted_ids = await self._probe() if admitted == ONE else ids[:admitted]
            promised = queue.promise(len(admitted_ids))
            claimed = await self._claim_store.claim(admitted_ids, ids if admitted < ALL else (), promised)
        except Exception as error:
            queue.add([], promised)
            if admitted == ONE:
                await self.breaker.unused()
            if not isinstance(error, Unavailable):
                log.exception("claim.failed")
            raise Retry(f"claim: {error if isinstance(error, Unavailable) else type(error).__name__}") from None
        batch = Batch(claimed, priority.rank, asked_at, Delays(self._settings), probe=admitted == ONE)
        queue.add([Job(one, batch) for one in claimed if not one.sandbox], promised)
        try:
            await self._sandbox([Job(one, batch) for one in claimed if one.sandbox])
            await self._finished(batch, queue)
        finally:
            if batch.probe and not batch.tried:  # None was due, or it was handed back.
                await self.breaker.unused()
        if batch.error:
            raise batch.error
        if (
            blocked
            and not queue.limits.limit(time.monotonic())
            and _may_come_again(RetryPolicy.of(priority.name, self._settings))
        ):
            await self._put_off(ids)
        if batch.retries:
            first, *others = sorted(batch.retries.items(), key=lambda item: len(item[1]), reverse=True)
            for delay, later in others:
                await asyncio.to_thread(get_broker().enqueue, message(later, priority.name), delay=delay)
            raise Again(first[1], first[0])

    async def close(self) -> None:
        """Wait until all outcomes are recorded, and close the connections."""
        await asyncio.gather(self.mails.close(), self.callbacks.close())
        for channel in self._channels.values():
            await channel.close()

    def may_send(self, job: Job) -> bool:
        """Return whether a job may still be begun."""
        return not (job.batch.withdrawn or self._must_hand_back(job.batch))

    async def attempt(
        self, job: Job, sender: Sender, next_notification: Claimed | None, *, patient: bool
    ) -> Settlement:
        provider = self._channels[job.notification.type].provider
        try:
            settlement = await self._attempts.make(job, provider, sender, next_notification, patient=patient)
        except Throttled:  # A provider that says so is up.
            job.batch.tried = True
            if job.notification.type != CALLBACK:
                await self.breaker.heard(down=False, probe=job.batch.probe, reason="")
            raise
        job.batch.tried = True
        return settlement

    async def settled(self, job: Job, settlement: Settlement) -> None:
        """Report the outcome to the breaker."""
        if job.notification.type == CALLBACK:
            return
        attempt = settlement.attempt
        found = evidence(job.notification, attempt)
        await self.breaker.heard(
            down=found.down,
            probe=job.batch.probe,
            reason=f"{attempt.phase}: {attempt.text}" if found.down else "",
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

    async def _put_off(self, ids: Sequence[int]) -> None:
        """Raise Again for those of `ids` that another process, which has all connections, has not sent by now."""
        if still_due := await asyncio.to_thread(self._claim_store.still_due, ids):
            raise Again(still_due, PUT_OFF)

    async def _probe(self) -> Sequence[int]:
        return await asyncio.to_thread(self._claim_store.candidate, self.breaker.provider)

    async def _sandbox(self, jobs: Sequence[Job]) -> None:
        """Send to the sandbox, which needs no connection."""
        channel = self._channels["sandbox"]
        for job in jobs:
            settlement = await self._attempts.make(job, channel.provider, channel.sender())
            recorded = self._claim_store.settle(settlement)
            recorded.add_done_callback(partial(self._sandboxed, job, settlement))

    def _sandboxed(self, job: Job, settlement: Settlement, recorded: asyncio.Future[bool]) -> None:
        if error := recorded.exception():
            job.batch.error = error
        else:
            self.recorded(job, settlement, owned=recorded.result())
        job.batch.finish()

    async def _finished(self, batch: Batch, queue: ProviderQueue) -> None:
        """Wait until a batch has ended or only slow notifications are left. Hand back what must not be sent."""
        alone_since = None
        while not batch.done.done():
            await asyncio.wait([batch.done], timeout=LOOK)
            if self._must_hand_back(batch):
                await queue.withdraw(batch)
            if queue.holds(batch) or self.stopping.is_set():
                alone_since = None
            elif alone_since is None:
                alone_since = time.monotonic()
            elif time.monotonic() - alone_since > STRAGGLERS:
                return

    def _must_hand_back(self, batch: Batch) -> bool:
        now = time.monotonic()
        # The breaker belongs to the mail server. Callbacks go to their own endpoints.
        held_up = self.breaker.open and not batch.probe and batch.rank != PRIORITIES[CALLBACK].rank
        # Other workers take over from one without heartbeats, so it must stop sending before that. If its process or
        # machine stood still in between, it must not continue.
        doubtful = self.silent(now - self.alive_at) or batch.asked_at < self._doubtful_before
        late = now - batch.asked_at > self._settings.delivery.list_budget
        return held_up or self.stopping.is_set() or doubtful or late


def _may_come_again(policy: RetryPolicy) -> bool:
    """Return whether the current message has retries left; after its last one the relay sends another message."""
    current = CurrentMessage.get_current_message()
    return current is None or current.options.get("retries", 0) < policy.attempts - 1
