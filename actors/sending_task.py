"""A task that sends notifications one after another over its own connection."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from actors.attempts import TryElsewhere
from actors.batches import Job
from actors.channels import NoConnection, Sender, Throttled
from db.lifecycle import AHEAD
from db.records import Settlement

if TYPE_CHECKING:
    from actors.provider_queue import ProviderQueue

STEP = 1.0  # seconds between two looks during a pause that the provider asked for
LONG = 3.0  # seconds; in a longer pause, notifications that wait are handed back
QUICK = 0.25  # seconds; a sender whose last notification took longer takes only one, and leaves the rest to others
FREE_REFUSALS = 10  # refusals for our rate after which one counts as an attempt, if the provider took others in between
SLOW = 5.0  # seconds that a notification may take before those queued behind it go to other senders


class SendingTask:
    """Sends what waits in a queue until nothing is left, the provider refuses it, or the process stops.

    It begins a notification only after the database knows that it may have been begun, and it is never more than AHEAD
    notifications ahead of the recorded outcomes.
    """

    def __init__(self, queue: ProviderQueue, sender: Sender) -> None:
        self._queue, self._sender = queue, sender
        self._jobs: deque[Job] = deque()  # taken and not begun
        self._unrecorded = 0
        self._all_recorded: asyncio.Future[None] | None = None
        self._quick = False
        self._since = inf  # time.monotonic() when the current notification began
        self._refused = False  # the provider accepts no further connection

    async def run(self) -> None:
        failed = True
        try:
            while await self._has_job() and await self._send():
                pass
            failed = self._refused
        finally:
            self._queue.left(failed=failed)
            self._give_back()
            try:
                await self._sender.hang_up()
            finally:
                await self._recorded()

    async def _has_job(self) -> bool:
        """Wait until there is a notification that may be begun. Return False if this sender must end."""
        queue = self._queue
        while True:
            now = time.monotonic()
            if queue.senders > queue.limits.limit(now):
                return False
            if pause := queue.limits.pause(now):
                if queue.closing:
                    return False
                if pause > LONG:  # Nothing waits here for so long: it is pending, and may expire.
                    self._give_back()
                    await queue.withdraw_all()
                await asyncio.sleep(min(pause, STEP))
                continue
            await self._take()
            if self._jobs and self._jobs[0].may_begin:
                return True
            # Each of these waits lasts as long as the database is away, so check again afterwards.
            if not self._jobs:
                if queue.closing or not await self._rest():
                    return False
            elif self._unrecorded:
                await self._recorded()
            else:
                await self._begin()

    async def _take(self) -> None:
        """Take the next jobs, and hand back those that must not be sent any more."""
        queue = self._queue
        most = min(self._at_hand, max(1, -(-queue.waiting // max(1, queue.senders))))
        while len(self._jobs) < most and (job := queue.take()):
            self._jobs.append(job)
        while self._jobs and not queue.work.may_send(self._jobs[0]):
            job = self._jobs.popleft()
            await queue.hand_back([job])
            await queue.withdraw(job.batch)

    @property
    def _at_hand(self) -> int:
        return self._queue.at_hand if self._quick else 1

    async def _begin(self) -> None:
        jobs = [job for job in self._jobs if not job.may_begin][:AHEAD]
        await self._queue.claim_store.begin(self._queue.place(jobs))
        for job in jobs:
            job.may_begin = True

    async def _rest(self) -> bool:
        """Wait for work. Return False if none came for the idle time of the queue."""
        woken: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._queue.resting.append((woken, time.monotonic()))
        return await woken

    async def _send(self) -> bool:
        """Send the next job. Return False if this sender must end."""
        queue, job = self._queue, self._jobs.popleft()
        next_notification = self._jobs[0].notification if self._jobs else None
        # If the provider takes other notifications in between, the refusals are not about our rate.
        patient = job.refusals < FREE_REFUSALS or queue.taken == job.taken_before
        self._since = time.monotonic()
        queue.limits.began(self._since)
        try:
            settlement = await queue.work.attempt(job, self._sender, next_notification, patient=patient)
        except TryElsewhere:
            await queue.work.move(job)
            return True
        except (NoConnection, Throttled) as not_now:
            if isinstance(not_now, Throttled):
                job.throttled, job.refusals, job.taken_before = str(not_now), job.refusals + 1, queue.taken
                job.retry_after = not_now.retry_after or 0.0
                if not_now.retry_after is not None:
                    await queue.hand_back([job])
                else:
                    queue.put_last(job)
                self._give_back()
                return True
            self._jobs.appendleft(job)
            self._refused = True
            if queue.senders == 1:  # Other processes have all the connections, so leave the notifications to them.
                self._give_back()
                await queue.withdraw_all()
            return False
        except BaseException as error:  # The outcome is unknown: rescue takes it over, as after the death of a worker.
            job.batch.error = error
            queue.end([job])
            raise
        finally:
            queue.shaper.ended(job)
            self._quick, self._since = time.monotonic() - self._since < QUICK, inf
        queue.taken += settlement.status == "sent"
        self._settle(job, settlement)
        await queue.work.settled(job, settlement)
        if self._unrecorded >= AHEAD:
            # Wait for all of them: most likely one statement records them together.
            await self._recorded()
        return True

    def look(self, now: float) -> None:
        """Let other senders take what is queued behind a slow notification, which may take minutes."""
        if now - self._since > SLOW:
            self._give_back()

    def _give_back(self) -> None:
        jobs = list(self._jobs)
        self._jobs.clear()
        self._queue.put_back(jobs)

    def _settle(self, job: Job, settlement: Settlement) -> None:
        """Record the outcome. If no further job may be begun, record in the same statement that the next ones may."""
        queue = self._queue
        beginning: list[Job] = []
        if not any(other.may_begin for other in self._jobs):
            while len(self._jobs) < self._at_hand and (another := queue.take()):
                self._jobs.append(another)
            if not any(other.may_begin for other in self._jobs):
                beginning = list(self._jobs)[:AHEAD]
        recorded = queue.claim_store.settle(settlement, queue.place(beginning))
        self._unrecorded += 1
        recorded.add_done_callback(partial(self._on_recorded, job, settlement, beginning))

    def _on_recorded(
        self, job: Job, settlement: Settlement, beginning: Sequence[Job], recorded: asyncio.Future[bool]
    ) -> None:
        self._unrecorded -= 1
        try:
            if error := recorded.exception():
                job.batch.error = error
            else:
                for other in beginning:
                    other.may_begin = True
                self._queue.work.recorded(job, settlement, owned=recorded.result())
        finally:
            self._queue.end([job])
            self._tell_recorded()

    def _tell_recorded(self) -> None:
        if not self._unrecorded and self._all_recorded is not None and not self._all_recorded.done():
            self._all_recorded.set_result(None)

    async def _recorded(self) -> None:
        """Wait until every outcome of this sender is recorded."""
        if self._unrecorded:
            self._all_recorded = asyncio.get_running_loop().create_future()
            await self._all_recorded
