"""The actor: claim a list of notifications, and have the senders of their provider send them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import UUID

import dramatiq
from dramatiq import Retry
from dramatiq.middleware import CurrentMessage, Middleware

import settings
from actors.attempts import Attempts, Delays
from actors.batches import Batch, Job
from actors.breaker import ALL, NONE, ONE, Breaker
from actors.channels import Channel, Sender, Throttled
from actors.claim_store import Ledger
from actors.evidence import evidence
from actors.outcomes import report
from actors.provider_queue import ProviderQueue
from actors.queue.broker import broker
from actors.queue.priorities import LANES, Lane
from actors.retry_policy import Budget
from db import workers
from db.database import Unavailable
from db.models import CALLBACK
from db.records import Claimed, Settlement
from runtime import logs

log = logs.get("delivery")

LOOK = 0.5  # seconds between two looks whether what waits must be handed back
PUT_OFF = 1_500  # milliseconds after which a message for which there was no connection comes again
STRAGGLERS = 10.0  # seconds; a message whose last notifications are under way for longer is done: their rows are known

_current = settings.load()


class Again(Retry):
    """Of a list, these `ids` must be tried again after `delay` milliseconds."""

    def __init__(self, ids: Sequence[int], delay: int) -> None:
        super().__init__(f"{len(ids)} to be tried again", delay=delay)
        self.ids = ids


class Narrow(Middleware):
    """Before Retries sends a message again, narrow its list to the ids that must be tried again."""

    def after_process_message(
        self, broker: Any, message: Any, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        if isinstance(exception, Again):
            message.args[0][:] = exception.ids


# "After" hooks run from the last middleware to the first, so this one comes before Retries.
broker.add_middleware(Narrow())


class Delivery:
    """How this worker process delivers. All but `beaten`, `silent` and `unrecorded` is called on the event loop."""

    def __init__(
        self, current: settings.Settings, worker: UUID, ledger: Ledger, channels: dict[str, Channel], breaker: Breaker
    ) -> None:
        self._settings, self._ledger, self._channels, self.breaker = current, ledger, channels, breaker
        self._attempts = Attempts(current, worker, ledger)
        self.stopping = threading.Event()
        self.alive_at = time.monotonic()  # of the last heartbeat that was recorded
        self._doubtful_before = float("-inf")  # time.monotonic(): what was claimed earlier may be others' now
        self.mails = ProviderQueue(self, ledger, channels["email"])
        self.callbacks = ProviderQueue(self, ledger, channels[CALLBACK])

    def beaten(self, at: float, *, late: bool) -> None:
        """Note that the heartbeat of `at` (time.monotonic()) is recorded.

        `late`: so long after the one before that other workers may have taken this one for dead.
        """
        if late:
            self._doubtful_before = time.monotonic()
        self.alive_at = at

    def silent(self, seconds: float) -> bool:
        """Return whether others may soon take a worker for dead whose heartbeats are so far apart."""
        return seconds > self._settings.worker_timeout / 2

    def unrecorded(self) -> workers.Unrecorded:
        """Return the outcomes that the database has not taken yet."""
        return self._ledger.unrecorded()

    async def deliver(self, ids: Sequence[int], lane: Lane = LANES["normal"]) -> None:
        """Deliver those of `ids` that are pending and due; raises Again for what must be tried again."""
        # The breaker is about the mail server; each callback goes to another one.
        admitted = ALL if lane.name == CALLBACK else await self.breaker.admits()
        queue = self.callbacks if lane.name == CALLBACK else self.mails
        blocked = await queue.blocked_for(len(ids)) if admitted == ALL else 0.0
        if blocked:
            admitted = NONE
        asked_at, promised = time.monotonic(), 0
        try:
            # What is not admitted stays as it is, and the relay rings again when the breaker closes. The sandbox
            # has no breaker.
            admitted_ids = await self._probe() if admitted == ONE else ids[:admitted]
            promised = queue.promise(len(admitted_ids))
            claimed = await self._ledger.claim(admitted_ids, ids if admitted < ALL else (), promised)
        except Exception as error:
            queue.add([], promised)
            if admitted == ONE:
                await self.breaker.unused()
            if not isinstance(error, Unavailable):
                log.exception("claim.failed")
            raise Retry(f"claim: {error if isinstance(error, Unavailable) else type(error).__name__}") from None
        batch = Batch(claimed, lane.rank, asked_at, Delays(self._settings), probe=admitted == ONE)
        queue.add([Job(one, batch) for one in claimed if not one.sandbox], promised)
        try:
            await self._sandbox([Job(one, batch) for one in claimed if one.sandbox])
            await self._finished(batch, queue)
        finally:
            if batch.probe and not batch.tried:  # None was due, or it was handed back.
                await self.breaker.unused()
        if batch.error:
            raise batch.error
        if blocked and not queue.limits.limit(time.monotonic()) and _may_come_again(lane):
            await self._put_off(ids)
        if batch.retries:
            first, *others = sorted(batch.retries.items(), key=lambda item: len(item[1]), reverse=True)
            for delay, later in others:
                await asyncio.to_thread(ACTORS[lane.name].send_with_options, args=(later,), delay=delay)
            raise Again(first[1], first[0])

    async def close(self) -> None:
        """Wait until all that was begun is recorded, and close what was kept open."""
        await asyncio.gather(self.mails.close(), self.callbacks.close())
        for channel in self._channels.values():
            await channel.close()

    def may_send(self, job: Job) -> bool:
        """Return whether a job may still be begun."""
        return not (job.batch.withdrawn or self._must_hand_back(job.batch))

    async def attempt(self, job: Job, sender: Sender, following: Claimed | None, *, patient: bool) -> Settlement:
        provider = self._channels[job.notification.type].provider
        try:
            settlement = await self._attempts.make(job, provider, sender, following, patient=patient)
        except Throttled:  # Who says so is not down.
            job.batch.tried = True
            if job.notification.type != CALLBACK:
                await self.breaker.heard(down=False, probe=job.batch.probe, reason="")
            raise
        job.batch.tried = True
        return settlement

    async def settled(self, job: Job, settlement: Settlement) -> None:
        """Tell the breaker how it went."""
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
        """Report an outcome, and note whether and when to try it again."""
        try:
            report(job.notification, settlement, job.batch.claimed_at, owned=owned)
        except Exception:  # What is recorded is recorded, and the rest goes on.
            log.exception("outcome.not_reported", id=settlement.id)
        if not owned:  # Others have taken it over, and so perhaps the rest.
            job.batch.withdrawn = True
        elif settlement.delay is not None:
            # Never before the row is due, or the claim refuses it: the row's clock started earlier.
            job.batch.retries[round(settlement.delay * 1000)].append(settlement.id)

    async def _put_off(self, ids: Sequence[int]) -> None:
        """Raise Again for those of `ids` that another process, which has all connections, has not sent by now."""
        if still_due := await asyncio.to_thread(self._ledger.still_due, ids):
            raise Again(still_due, PUT_OFF)

    async def _probe(self) -> Sequence[int]:
        return await asyncio.to_thread(self._ledger.candidate, self.breaker.provider)

    async def _sandbox(self, jobs: Sequence[Job]) -> None:
        """Send to the sandbox, which knows no connections and no waiting."""
        channel = self._channels["sandbox"]
        for job in jobs:
            settlement = await self._attempts.make(job, channel.provider, channel.sender())
            recorded = self._ledger.settle(settlement)
            recorded.add_done_callback(partial(self._sandboxed, job, settlement))

    def _sandboxed(self, job: Job, settlement: Settlement, recorded: asyncio.Future[bool]) -> None:
        if error := recorded.exception():
            job.batch.error = error
        else:
            self.recorded(job, settlement, owned=recorded.result())
        job.batch.finish()

    async def _finished(self, batch: Batch, queue: ProviderQueue) -> None:
        """Wait until a batch has ended, or only what is slow is left of it. What must not be sent goes back."""
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
        # The breaker is about the mail server; each callback goes to another one.
        held_up = self.breaker.open and not batch.probe and batch.rank != LANES[CALLBACK].rank
        # Others take over what a worker without heartbeats holds; it must have stopped sending by then. Where it
        # could not, because its process or its machine stood still, it must not go on with it.
        doubtful = self.silent(now - self.alive_at) or batch.asked_at < self._doubtful_before
        late = now - batch.asked_at > self._settings.list_budget
        return held_up or self.stopping.is_set() or doubtful or late


class _Process:
    """What the worker process puts here at boot."""

    delivery: Delivery | None = None


running = _Process()


def _may_come_again(lane: Lane) -> bool:
    """Return whether the current message has retries left; after its last one the relay sends another message."""
    message = CurrentMessage.get_current_message()
    return message is None or message.options.get("retries", 0) < ACTORS[lane.name].options["max_retries"]


def _actor(lane: Lane) -> dramatiq.Actor[[list[int]], None]:
    budget = Budget.of(lane.name, _current)

    @dramatiq.actor(
        actor_name="deliver" if lane.name == "normal" else f"deliver_{lane.name}",
        queue_name=lane.queue,
        # The row owns the budget; the same number here ends a message that outlives its rows'.
        max_retries=budget.attempts - 1,
        min_backoff=int(budget.least * 1000),
        max_backoff=int(budget.most * 1000),
    )
    async def deliver(ids: list[int]) -> None:
        """Deliver the notifications `ids`. The message only wakes a worker: the rows say what is to be done."""
        if running.delivery is None:
            raise RuntimeError("this is no worker process")
        await running.delivery.deliver(ids, lane)

    return deliver


ACTORS = {lane.name: _actor(lane) for lane in LANES.values()}
deliver = ACTORS["normal"]
