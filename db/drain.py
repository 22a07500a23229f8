"""Drain the system: workers begin nothing more, and finish what they send. Call within `connection()`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from db import acts, pauses
from db.audit import By, recorded
from db.database import database, rows
from db.session import OURS

COUNTED = 10_000  # `in_flight` counts no further


class InFlight(NamedTuple):
    """Notifications that are being sent. `oldest`: seconds since the first of them was claimed."""

    number: int
    oldest: float


def begin(by: By, channels: Iterable[str]) -> int:
    """Pause these channels. Return the number of the transaction, for `unaware`."""
    with database.atomic():
        for channel in channels:
            recorded(by, acts.paused, pauses.pause)("channel", channel)
        [(number,)] = rows("SELECT pg_current_xact_id()::text::bigint")
    return int(number)


def unaware(transaction: int) -> int:
    """Return how many of our statements still run that began before this transaction was visible.

    Until there is none, a worker may still claim in spite of the pause. Statements of other database users are not
    counted.
    """
    [(count,)] = rows(
        f"""
        SELECT count(*) FROM pg_stat_activity
        WHERE {OURS} AND pid <> pg_backend_pid() AND age(backend_xmin) >= age(%s::text::xid8::xid)
        """,
        transaction,
    )
    return int(count)


def in_flight() -> InFlight:
    """Return how many notifications are being sent now, by any worker."""
    [found] = rows(
        "SELECT count(*), coalesce(extract(epoch FROM now() - min(claimed_at))::float8, 0)"
        " FROM (SELECT claimed_at FROM notifications WHERE status = 'processing' ORDER BY claimed_at LIMIT %s) AS n",
        COUNTED,
    )
    return InFlight(*found)
