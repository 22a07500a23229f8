"""Take locks that block others: wait only briefly, and try again.

While a session waits for a lock on a table, sessions that come later queue behind it, even for weaker locks. So a
migration that waits for one long transaction would stop all accepting and sending.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from db.database import Contended, hurrying
from runtime import logs

T = TypeVar("T")
log = logs.get("migrate")


class Limits(NamedTuple):
    """Seconds for which one wait for a lock may block others, and for which it is tried again in all."""

    lock_timeout: float = 0.5
    time_limit: float = 600.0


def insist(limits: Limits, attempt: Callable[[], T]) -> T:
    """Call `attempt` until it succeeds. Raises Contended after `time_limit` seconds; then nothing has happened."""
    deadline = time.monotonic() + limits.time_limit
    while True:
        try:
            return attempt()
        except Contended as error:
            if time.monotonic() > deadline:
                raise Contended(
                    f"other sessions held a lock for {limits.time_limit:g} seconds (MIGRATION_PATIENCE); what was done "
                    "before stays done: look for long transactions in pg_stat_activity, and run it again"
                ) from None
            log.info("migration.waits", reason=str(error))
        # Wait longer than an attempt blocks others, so that they are free most of the time.
        time.sleep(random.uniform(2, 4) * limits.lock_timeout)  # noqa: S311 - to get out of step


def briefly(limits: Limits, action: Callable[[], T]) -> T:
    """Run `action` in one transaction that never waits long for a lock, until it succeeds."""

    def attempt() -> T:
        with hurrying(limits.lock_timeout):
            return action()

    return insist(limits, attempt)
