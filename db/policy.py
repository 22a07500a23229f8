"""The retention policy: how long final notifications are kept, and the limits of a round that removes them."""

from __future__ import annotations

from typing import NamedTuple

from db.models import FINAL
from settings.retention import RetentionSettings


class Policy(NamedTuple):
    """Seconds for which final notifications are kept, by state; None means for ever.

    A single row is deleted `lateness` seconds later at the earliest: until then its whole block may be dropped.
    """

    sent: float | None = None
    failed: float | None = None
    cancelled: float | None = None
    lateness: float = 0

    @property
    def ages(self) -> dict[str, float]:
        """Return the states that are not kept for ever, with their ages."""
        return {state: age for state in FINAL if (age := getattr(self, state)) is not None}


class Bounds(NamedTuple):
    """The limits of a round.

    `batch`: rows that one statement looks at. `size`: ids in a block. `lock_timeout`: seconds for which other sessions
    may be blocked. `time_limit`: seconds for work that blocks no other session.
    """

    batch: int = 2_000
    size: int = 10_000_000
    lock_timeout: float = 0.2
    time_limit: float = 3_600.0


class Step(NamedTuple):
    """One step of a round.

    `what`: a block was `begun` or `dropped`, rows were `deleted`, or a lock could not be taken (`contended`). `block`:
    the first id of the block. `rows`: notifications; an estimate for a block.
    """

    what: str
    rows: int = 0
    block: int | None = None


def of(settings: RetentionSettings) -> Policy:
    """Return the policy of the settings. Half of RETENTION_LATENESS is a row's, half the wait for a sweep."""
    return Policy(
        sent=settings.sent or None,
        failed=settings.failed or None,
        cancelled=settings.cancelled or None,
        lateness=settings.lateness / 2,
    )


def bounds(settings: RetentionSettings) -> Bounds:
    """Return the limits of a round."""
    return Bounds(
        batch=settings.batch,
        size=settings.partition_size,
    )
