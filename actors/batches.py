"""The notifications that a worker has claimed with one message."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from actors.attempts import Delays
from db.records import Claimed

if TYPE_CHECKING:
    from actors.provider_queue import ProviderQueue


class Batch:
    """Claimed notifications of one message, until all outcomes are recorded.

    `rank` is the priority; 0 is the most urgent. `asked_at` is `time.monotonic()` just before the claim.
    """

    def __init__(self, claimed: Sequence[Claimed], rank: int, asked_at: float, delays: Delays) -> None:
        self.rank, self.asked_at, self.delays = rank, asked_at, delays
        self.claimed_at = time.monotonic()
        self.unfinished = len(claimed)
        self.withdrawn = False  # what has not begun is handed back
        self.error: BaseException | None = None
        self.retries: defaultdict[int, list[int]] = defaultdict(list)  # ids by the milliseconds before their next try
        self.done = asyncio.get_running_loop().create_future()
        self.finish(0)

    def finish(self, count: int = 1) -> None:
        """Count notifications that have ended or were handed back."""
        self.unfinished -= count
        if self.unfinished <= 0 and not self.done.done():
            self.done.set_result(None)


class Job:
    """A notification of a batch, in the queue of its provider.

    `probe`: it tests a provider whose breaker is open. `tried`: an attempt was made. `declined`: the providers that
    have certainly not taken it. `parted`: its message ends without it.
    `may_begin`: the database records that it may have begun. `placed`: it has a place in the queue's count of such
    notifications. `throttled`: the provider's words when it last refused the notification because of our rate.
    `retry_after`: the seconds that it asked to wait, or 0. `refusals`: how often it refused. `taken_before`: how many
    notifications the provider had taken in all by then.
    `tests_domain`: it tests whether its provider takes mails from its From domain again. `domain_admitted`: it may be
    sent, whatever is known of that domain.
    """

    queue: ProviderQueue  # set when it is queued

    __slots__ = (
        *("batch", "declined", "domain_admitted", "may_begin", "notification", "parted", "placed", "probe", "queue"),
        *("refusals", "retry_after", "taken_before", "tests_domain", "throttled", "tried"),
    )

    def __init__(self, notification: Claimed, batch: Batch) -> None:
        self.notification, self.batch = notification, batch
        self.probe = self.tried = self.parted = self.tests_domain = self.domain_admitted = False
        self.declined: tuple[ProviderQueue, ...] = ()
        self.may_begin = self.placed = False
        self.throttled, self.retry_after = "", 0.0
        self.refusals = self.taken_before = 0
