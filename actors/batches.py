"""What a worker has claimed with one message, until all of it is recorded."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence

from actors.attempts import Delays
from db.records import Claimed


class Batch:
    """What one message had claimed. `rank` 0 is the most urgent; `asked_at`: time.monotonic() just before the claim."""

    def __init__(
        self, claimed: Sequence[Claimed], rank: int, asked_at: float, delays: Delays, *, probe: bool = False
    ) -> None:
        self.rank, self.asked_at, self.delays, self.probe = rank, asked_at, delays, probe
        self.claimed_at = time.monotonic()
        self.unfinished = len(claimed)
        self.tried = False  # whether one was attempted
        self.withdrawn = False  # what was not begun goes back, or has gone
        self.error: BaseException | None = None
        self.retries: defaultdict[int, list[int]] = defaultdict(list)  # ids by the milliseconds before their next try
        self.done = asyncio.get_running_loop().create_future()
        self.finish(0)

    def finish(self, count: int = 1) -> None:
        """Note that so many have ended or were handed back."""
        self.unfinished -= count
        if self.unfinished <= 0 and not self.done.done():
            self.done.set_result(None)


class Job:
    """One notification of a batch.

    `may_begin`: it is recorded that it may have been begun. `placed`: it has one of the queue's places, because that
    is recorded or about to be. `throttled`: what the provider said when it refused it for our rate,
    `refusals` times; `taken_before`: how many it had taken in all by the last of them.
    """

    __slots__ = ("batch", "may_begin", "notification", "placed", "refusals", "taken_before", "throttled")

    def __init__(self, notification: Claimed, batch: Batch) -> None:
        self.notification, self.batch = notification, batch
        self.may_begin = self.placed = False
        self.throttled = ""
        self.refusals = self.taken_before = 0
