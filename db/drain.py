"""Coming to rest: nothing more is begun, and what is being sent ends. Call within `connection()`."""

from __future__ import annotations

from typing import NamedTuple

from db import acts, pauses
from db.audit import By, recorded
from db.database import database, rows
from db.models import CHANNELS
from db.session import OURS

COUNTED = 10_000  # what is in flight is counted no further


class InFlight(NamedTuple):
    """`oldest`: for how many seconds the one that was claimed first has been in a worker's hands."""

    number: int
    oldest: float


def begin(by: By) -> int:
    """Pause every channel; the number of the transaction that did, for `unaware`."""
    with database.atomic():
        for channel in CHANNELS:
            recorded(by, acts.paused, pauses.pause)("channel", channel)
        [(number,)] = rows("SELECT pg_current_xact_id()::text::bigint")
    return int(number)


def unaware(transaction: int) -> int:
    """How many statements of ours still run that have begun before this transaction was there to be seen.

    Until there is none, a worker may claim in spite of the pause. Those of another database user are not seen.
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
    """What is being sent now, by whom ever."""
    [found] = rows(
        "SELECT count(*), coalesce(extract(epoch FROM now() - min(claimed_at))::float8, 0)"
        " FROM (SELECT claimed_at FROM notifications WHERE status = 'processing' ORDER BY claimed_at LIMIT %s) AS n",
        COUNTED,
    )
    return InFlight(*found)
