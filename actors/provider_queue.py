"""The queue of claimed notifications for one provider, and the tasks that send them."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Sequence
from math import inf
from typing import TYPE_CHECKING

from actors.batches import Batch, Job
from actors.channels.evidence_sources import sources
from actors.claim_store import ClaimStore
from actors.queue.priorities import RANKS
from actors.sending_task import SendingTask
from actors.shaping import Shaper
from actors.work import Work
from db.database import Unavailable
from db.lifecycle import AHEAD
from db.records import Claimed
from runtime import logs

if TYPE_CHECKING:
    from actors.refused_domains import FromDomains
    from actors.routed import Routed

log = logs.get("queue")

SWEEP = 1.0  # seconds between two checks of the senders and the queue
MOMENT, LOOK = 2.0, 0.05  # seconds to wait for a connection before a message is put off, and between two checks
NO_CONNECTION = 1.0  # seconds before a process without a share of the connections checks again
POSTPONED = 30.0  # seconds before a notification is due again that the provider refused because of our rate


class ProviderQueue:
    """Queue of one provider. All methods are called on the event loop.

    A sender takes the most urgent notification, sends it, and records its outcome while it sends the next one. It is
    at most AHEAD notifications ahead of the recorded outcomes, and it begins only what is recorded as begun. A killed
    process therefore leaves at most AHEAD notifications per connection with an unknown outcome.
    """

    def __init__(self, work: Work, claim_store: ClaimStore, routed: Routed) -> None:
        provider = routed.provider
        self.work, self.claim_store, self.limits, self.idle = work, claim_store, provider.limits, provider.idle
        self.name, self.breaker, self.apart = provider.provider, routed.breaker, routed.apart
        self.priority, self._weight = routed.priority, routed.weight
        self.sources = sources(provider)
        self.from_domains: FromDomains | None = getattr(provider, "from_domains", None)
        self.beginning = routed.reaches  # of the recipients that it can reach
        self.resting: deque[tuple[asyncio.Future[bool], float]] = deque()  # idle senders, and since when
        self._new_sender, self._ready = provider.sender, provider.ready
        self.at_hand = AHEAD + 1 if provider.pipelines else 1  # jobs that a sender takes at most
        self._waiting: list[deque[Job]] = [deque() for _ in RANKS]  # by rank, the most urgent first
        self.shaper = Shaper(self, self._waiting, getattr(provider, "shaping", None))  # few channels have such limits
        self._tasks: dict[asyncio.Task[None], SendingTask] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._start_at = -inf  # time.monotonic() before which no further sender is started
        self.taken = self.senders = 0  # notifications that the provider has taken; senders that are not about to end
        self._places = 0  # notifications that have begun, may begin, or may begin as soon as they are claimed
        self.closing = False
        self.limits.listen(self._rouse)

    @property
    def weight(self) -> int:
        """Weight of the provider among those of the same priority."""
        return self.breaker.weight or self._weight

    def reaches(self, recipient: str) -> bool:
        """Return whether the provider can reach a recipient."""
        return recipient.startswith(self.beginning)

    def promise(self, most: int) -> int:
        """Reserve places for at most `most` notifications that may begin as soon as they are claimed.

        Return how many were reserved. `add` must be called afterwards.
        """
        promised = max(0, min(most, AHEAD * self.limits.limit(time.monotonic()) - self._places))
        self._places += promised
        return promised

    def add(self, jobs: Sequence[Job], promised: int) -> None:
        """Queue claimed jobs, and free the reserved places that they do not use."""
        for job in jobs:
            job.queue = self
            job.may_begin = job.placed = self.claim_store.may_begin(job.notification)
            self._waiting[job.batch.rank].append(job)
        self._places += sum(job.placed for job in jobs) - promised
        self._rouse()

    def place(self, jobs: Iterable[Job]) -> list[Claimed]:
        """Give places to jobs that are about to be recorded as begun. Return the notifications that had none."""
        given = [job for job in jobs if not job.placed]
        for job in given:
            job.placed = True
        self._places += len(given)
        return [job.notification for job in given]

    def end(self, jobs: Sequence[Job]) -> None:
        """Free the places of jobs that have ended or were handed back."""
        for job in jobs:
            self._places -= job.placed
            job.placed = False
            job.batch.finish()

    async def withdraw(self, batch: Batch) -> None:
        """Hand back the waiting jobs of a batch that may not be sent any more."""
        jobs = self._waiting[batch.rank]
        if back := [job for job in jobs if job.batch is batch and not self.work.may_send(job)]:
            self._waiting[batch.rank] = deque(job for job in jobs if job not in back)
            await self.hand_back(back)

    async def withdraw_all(self) -> None:
        """Hand back all waiting jobs."""
        for rank, jobs in enumerate(self._waiting):
            self._waiting[rank] = deque()
            await self.hand_back(jobs)

    async def blocked_for(self, count: int) -> float:
        """Return the seconds until one of `count` notifications can be sent, or 0.0 if one can be sent now.

        Wait up to MOMENT seconds for it: a process gets its share of the connections when others give up theirs.
        """
        until = time.monotonic() + MOMENT
        while (wait := self.blocked(count)) and time.monotonic() < until and not self.closing:
            await asyncio.sleep(LOOK)
        return wait

    def blocked(self, count: int) -> float:
        """Return the seconds until one of `count` notifications can be sent; 0.0 if one can be sent now."""
        now = time.monotonic()
        if self.limits.limit(now):
            return self.limits.pause(now)
        self.limits.want(self.senders, -(-count // AHEAD))
        return NO_CONNECTION

    def holds(self, batch: Batch) -> bool:
        """Return whether a job of the batch waits for a sender."""
        return any(job.batch is batch for job in self._waiting[batch.rank])

    async def hand_back(self, jobs: Sequence[Job]) -> None:
        """Make the notifications of these jobs pending again; those refused because of our rate are due later."""
        try:
            self.shaper.ended(*jobs)
            if untried := [job.notification for job in jobs if not job.throttled]:
                await self.claim_store.release(untried)
            for job in jobs:
                if job.throttled:
                    await self.claim_store.postpone([job.notification], job.retry_after or POSTPONED, job.throttled)
        finally:
            self.end(jobs)

    async def close(self) -> None:
        """End the senders after their outcomes are recorded, and hand back the rest."""
        self.closing = True
        for woken, _ in self.resting:
            _wake(woken, going_on=True)
        while self._tasks:
            await asyncio.wait(list(self._tasks))
        try:
            await self.withdraw_all()
        except Exception as error:  # Rescue takes it over.
            log.error("queue.not_handed_back", exc_info=error)

    @property
    def waiting(self) -> int:
        """The number of jobs that no sender has taken."""
        return sum(map(len, self._waiting))

    def left(self, *, failed: bool) -> None:
        """Count out a sender that ends. After a failure, delay the next start: it would most likely fail too."""
        self.senders -= 1
        if failed:
            self._start_at = time.monotonic() + SWEEP

    def take(self) -> Job | None:
        """Remove the most urgent waiting job that is ready, and return it."""
        for jobs in self._waiting:
            for place, job in enumerate(jobs):
                if self._ready(job.notification):
                    del jobs[place]
                    return job
        return None

    def put_back(self, jobs: Sequence[Job]) -> None:
        """Put jobs back in front of their priority."""
        self.shaper.ended(*jobs)
        for job in reversed(jobs):
            self._waiting[job.batch.rank].appendleft(job)
        self._rouse()

    def put_last(self, job: Job) -> None:
        """Put a job, which the provider refused because of our rate, behind all others of its priority."""
        self._waiting[job.batch.rank].append(job)
        self._rouse()

    def receive(self, job: Job) -> None:
        """Take over a job from the queue of another provider."""
        job.queue._places -= job.placed
        job.queue, job.throttled, job.refusals = self, "", 0
        self._places += job.placed
        self._waiting[job.batch.rank].appendleft(job)
        self._rouse()

    def _rouse(self) -> None:
        """Wake or start one sender for every AHEAD waiting jobs."""
        wanted, now = -(-self.waiting // AHEAD), time.monotonic()
        self.limits.want(self.senders, self.senders - len(self.resting) + wanted)
        while wanted and self.resting:
            wanted -= _wake(self.resting.popleft()[0], going_on=True)
        # A task that ends counts until its connection is closed and its outcomes are recorded.
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
        """End senders that were idle for too long, and give what is queued behind slow notifications to others."""
        self._sweep, now = None, time.monotonic()
        for woken, since in self.resting:
            if now - since >= self.idle:
                _wake(woken, going_on=False)
        self.resting = deque(resting for resting in self.resting if not resting[0].done())
        for sending in list(self._tasks.values()):
            sending.look(now)
        self.shaper.look()
        self._rouse()

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if self.waiting:
            self._rouse()
        if error := task.exception():
            away = isinstance(error, Unavailable)
            (log.warning if away else log.error)(
                "sender.failed", error=type(error).__name__, exc_info=None if away else error
            )


def _wake(resting: asyncio.Future[bool], *, going_on: bool) -> bool:
    """Wake an idle sender. Return False if it was awake already."""
    if waking := not resting.done():
        resting.set_result(going_on)
    return waking
