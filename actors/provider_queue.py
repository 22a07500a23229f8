"""The notifications that wait for one provider, and the tasks that send them, each over a connection of its own."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Sequence
from math import inf
from typing import Protocol

from actors.batches import Batch, Job
from actors.channels import Channel, Sender
from actors.claim_store import Ledger
from actors.queue.priorities import LANES
from actors.sending_task import SendingTask
from db.database import Unavailable
from db.lifecycle import AHEAD
from db.records import Claimed, Settlement
from runtime import logs

log = logs.get("queue")

SWEEP = 1.0  # seconds between two looks at what waits
MOMENT, LOOK = 2.0, 0.05  # seconds to wait for a connection before a message is put off, and between two looks
NO_CONNECTION = 1.0  # seconds before a process that has no share of the connections looks again
POSTPONED = 30.0  # seconds that a mail is left alone which was refused for our rate and could not be sent since


class Work(Protocol):
    """What is done with a job."""

    def may_send(self, job: Job) -> bool:
        """Return whether it may still be begun."""

    async def attempt(self, job: Job, sender: Sender, following: Claimed | None, *, patient: bool) -> Settlement:
        """Send it. Raises NoConnection and, if `patient`, Throttled: these cost no attempt."""

    async def settled(self, job: Job, settlement: Settlement) -> None:
        """Take note of the outcome before it is recorded."""

    def recorded(self, job: Job, settlement: Settlement, *, owned: bool) -> None:
        """Take note that it is recorded, or that another worker had taken the notification over."""


class ProviderQueue:
    """Called on the event loop.

    A sender takes the most urgent notification that waits, sends it, and has its outcome recorded while it sends
    the next one. It is at most AHEAD of what is recorded, and begins nothing that is not recorded as begun: a
    process that is killed leaves no more than that in doubt.
    """

    def __init__(self, work: Work, ledger: Ledger, channel: Channel) -> None:
        self.work, self.ledger, self.limits, self.idle = work, ledger, channel.limits, channel.idle
        self.resting: deque[tuple[asyncio.Future[bool], float]] = deque()  # senders without work, and since when
        self.closing = False
        self._new_sender, self._ready = channel.sender, channel.ready
        self.at_hand = AHEAD + 1 if channel.pipelines else 1  # jobs that a sender takes at most
        self._waiting: list[deque[Job]] = [deque() for _ in LANES]  # by rank, the most urgent first
        self._tasks: dict[asyncio.Task[None], SendingTask] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._start_at = -inf  # time.monotonic() before which no further sender is started
        self.taken = 0  # notifications that the provider has taken
        self.senders = 0  # without those that are to end
        self.limits.listen(self._rouse)
        self._places = 0  # taken by what is begun, may be begun, or will be as soon as it is claimed

    def promise(self, most: int) -> int:
        """Return how many notifications more may be begun as soon as they are claimed, at most `most`.

        Their places are kept until `add`.
        """
        promised = max(0, min(most, AHEAD * self.limits.limit(time.monotonic()) - self._places))
        self._places += promised
        return promised

    def add(self, jobs: Sequence[Job], promised: int) -> None:
        """Queue what was claimed, and give back the places that were promised and are not taken."""
        for job in jobs:
            job.may_begin = job.placed = self.ledger.may_begin(job.notification)
            self._waiting[job.batch.rank].append(job)
        self._places += sum(job.placed for job in jobs) - promised
        self._rouse()

    def place(self, jobs: Iterable[Job]) -> list[Claimed]:
        """Give places to these, which are to be recorded as begun."""
        given = [job for job in jobs if not job.placed]
        for job in given:
            job.placed = True
        self._places += len(given)
        return [job.notification for job in given]

    def end(self, jobs: Sequence[Job]) -> None:
        """Note that these have ended, or were handed back: their places are free."""
        for job in jobs:
            self._places -= job.placed
            job.placed = False
            job.batch.finish()

    async def withdraw(self, batch: Batch) -> None:
        """Hand back what of a batch waits."""
        batch.withdrawn = True
        jobs = self._waiting[batch.rank]
        self._waiting[batch.rank] = deque(job for job in jobs if job.batch is not batch)
        await self.hand_back([job for job in jobs if job.batch is batch])

    async def withdraw_all(self) -> None:
        """Hand back all that waits."""
        for batch in {job.batch for jobs in self._waiting for job in jobs}:
            await self.withdraw(batch)

    async def blocked_for(self, count: int) -> float:
        """Return the seconds before any of `count` notifications can be sent; 0.0 where one can.

        Waits a moment for that: a process gets its share of the connections when others have given them up.
        """
        until = time.monotonic() + MOMENT
        while (wait := self._blocked(count)) and time.monotonic() < until and not self.closing:
            await asyncio.sleep(LOOK)
        return wait

    def _blocked(self, count: int) -> float:
        now = time.monotonic()
        if self.limits.limit(now):
            return self.limits.pause(now)
        self.limits.want(self.senders, -(-count // AHEAD))
        return NO_CONNECTION

    def holds(self, batch: Batch) -> bool:
        """Return whether something of a batch waits for a sender."""
        return any(job.batch is batch for job in self._waiting[batch.rank])

    async def hand_back(self, jobs: Sequence[Job]) -> None:
        """Have these pending again. What was refused for our rate alone is due later."""
        try:
            if untried := [job.notification for job in jobs if not job.throttled]:
                await self.ledger.release(untried)
            for job in jobs:
                if job.throttled:
                    await self.ledger.postpone(job.notification, POSTPONED, job.throttled)
        finally:
            self.end(jobs)

    async def close(self) -> None:
        """End the senders, as soon as what they have begun is recorded."""
        self.closing = True
        for woken, _ in self.resting:
            _wake(woken, going_on=True)
        while self._tasks:
            await asyncio.wait(list(self._tasks))
        try:
            await self.withdraw_all()
        except Exception as error:  # Others rescue it.
            log.error("queue.not_handed_back", exc_info=error)

    @property
    def waiting(self) -> int:
        """How many notifications no sender has taken yet."""
        return sum(map(len, self._waiting))

    def left(self, *, failed: bool) -> None:
        """Note that a sender ends. Where it failed, another one most likely would, too, if it began at once."""
        self.senders -= 1
        if failed:
            self._start_at = time.monotonic() + SWEEP

    def take(self) -> Job | None:
        """Return the most urgent job that waits."""
        for jobs in self._waiting:
            for place, job in enumerate(jobs):
                if self._ready(job.notification):
                    del jobs[place]
                    return job
        return None

    def put_back(self, jobs: Sequence[Job]) -> None:
        """Let others send these, before anything else of their rank."""
        for job in reversed(jobs):
            self._waiting[job.batch.rank].appendleft(job)
        self._rouse()

    def put_last(self, job: Job) -> None:
        """Let all others of its rank go before this one, which the provider has just refused for our rate."""
        self._waiting[job.batch.rank].append(job)
        self._rouse()

    def _rouse(self) -> None:
        """Wake senders or start some, one for every AHEAD jobs."""
        wanted, now = -(-self.waiting // AHEAD), time.monotonic()
        self.limits.want(self.senders, self.senders - len(self.resting) + wanted)
        while wanted and self.resting:
            wanted -= _wake(self.resting.popleft()[0], going_on=True)
        # One that ends counts until its connection is closed and what it has sent is recorded.
        free = 0 if self.closing or now < self._start_at else self.limits.limit(now) - len(self._tasks)
        for _ in range(min(wanted, free)):
            self.senders += 1
            sending = SendingTask(self, self._new_sender())
            task = asyncio.get_running_loop().create_task(sending.run())
            self._tasks[task] = sending
            task.add_done_callback(self._ended)
        if self._sweep is None and (self._tasks or self.waiting):
            self._sweep = asyncio.get_running_loop().call_later(SWEEP, self._look)

    def _look(self) -> None:
        """End the senders that have rested for too long, and have others send what waits behind a slow mail."""
        self._sweep = None
        now = time.monotonic()
        for woken, since in self.resting:
            if now - since >= self.idle:
                _wake(woken, going_on=False)
        self.resting = deque(resting for resting in self.resting if not resting[0].done())
        for sending in list(self._tasks.values()):
            sending.look(now)
        self._rouse()

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if self.waiting:
            self._rouse()
        if error := task.exception():
            tell = log.warning if isinstance(error, Unavailable) else log.error
            tell(
                "sender.failed", error=type(error).__name__, exc_info=None if isinstance(error, Unavailable) else error
            )


def _wake(resting: asyncio.Future[bool], *, going_on: bool) -> bool:
    """Return whether it was still waiting."""
    if resting.done():
        return False
    resting.set_result(going_on)
    return True
