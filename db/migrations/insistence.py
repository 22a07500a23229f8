"""Locks that would hold everybody up are waited for briefly, and asked for again.

Whoever waits for a lock on a table makes everybody queue behind him who comes later and wants less. A
migration that waits behind one long transaction would so stop all accepting and sending.
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
    """Seconds: how long one wait for a lock may hold up others, and how long it is tried again in all."""

    lock_timeout: float = 0.5
    patience: float = 600.0


def insist(limits: Limits, attempt: Callable[[], T]) -> T:
    """Try until it is done. Raises Contended where `patience` was not enough; nothing of it has happened then."""
    deadline = time.monotonic() + limits.patience
    while True:
        try:
            return attempt()
        except Contended as error:
            if time.monotonic() > deadline:
                raise Contended(
                    f"others kept a lock for {limits.patience:g} seconds (MIGRATION_PATIENCE); what was done before "
                    "stays done: look for long transactions in pg_stat_activity, and run it again"
                ) from None
            log.info("migration.waits", reason=str(error))
        # Longer than each attempt holds others up: most of the time they are not.
        time.sleep(random.uniform(2, 4) * limits.lock_timeout)  # noqa: S311 - to get out of step


def briefly(limits: Limits, action: Callable[[], T]) -> T:
    """Do it in one transaction that never waits long for a lock, again and again until it is done."""

    def attempt() -> T:
        with hurrying(limits.lock_timeout):
            return action()

    return insist(limits, attempt)
