"""How long what has come to its end is kept, and what removing the rest may take."""

from __future__ import annotations

from typing import NamedTuple

from db.models import FINAL
from settings.retention import RetentionSettings


class Policy(NamedTuple):
    """How long what has come to its end is kept, in seconds since then, by state; None: for ever.

    A row is deleted no sooner than `lateness` seconds after its time: until then its block may go as a whole.
    """

    sent: float | None = None
    failed: float | None = None
    cancelled: float | None = None
    lateness: float = 0

    @property
    def ages(self) -> dict[str, float]:
        """Of the states that are not kept for ever."""
        return {state: age for state in FINAL if (age := getattr(self, state)) is not None}


class Bounds(NamedTuple):
    """`batch`: rows looked at in one statement. `size`: ids in a block. `lock_timeout`: for so many seconds others
    may be held up. `patience`: seconds for what holds up nobody.
    """

    batch: int = 2_000
    size: int = 10_000_000
    lock_timeout: float = 0.2
    patience: float = 3_600.0


class Step(NamedTuple):
    """What was done: a block was `begun` or `dropped`, or was to be, and others were at it (`contended`); or rows
    were `deleted`. `block`: its first id. `rows`: notifications, of a block about.
    """

    what: str
    rows: int = 0
    block: int | None = None


def of(settings: RetentionSettings) -> Policy:
    """The ages that are set. Half of RETENTION_LATENESS is a row's, half goes by until the next sweep."""
    return Policy(
        sent=settings.sent or None,
        failed=settings.failed or None,
        cancelled=settings.cancelled or None,
        lateness=settings.lateness / 2,
    )


def bounds(settings: RetentionSettings) -> Bounds:
    """What a round may take and hold."""
    return Bounds(
        batch=settings.batch,
        size=settings.partition_size,
        lock_timeout=settings.lock_timeout,
    )
