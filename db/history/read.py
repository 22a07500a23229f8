"""Read the counts of a window. Call within `connection()`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from db.database import rows
from db.history.classes import percentile
from db.history.reported import REPORTS

ALL_CLIENTS = 0
SHOWN = 100  # values of a dimension, those with the most notifications


class Window(NamedTuple):
    """A window of this many `hours`, up to the end of the current step. `step`: hours of a point of its chart."""

    hours: int
    step: int


WINDOWS = {"24h": Window(24, 1), "7d": Window(168, 6), "30d": Window(720, 24)}


class Counts(NamedTuple):
    """Counts of notifications by how they ended. `p50` and `p95`: seconds to delivery, as the bound of their class;
    None without any. `reported`: those of the sent ones about which a report came; `delivered`, `bounced`,
    `complained`: what it said."""

    sent: int = 0
    failed: int = 0
    cancelled: int = 0
    p50: float | None = None
    p95: float | None = None
    reported: int = 0
    delivered: int = 0
    bounced: int = 0
    complained: int = 0

    @property
    def size(self) -> int:
        """Return how many notifications ended; by domain, where ends are not counted, how many reports came."""
        return self.sent + self.failed + self.cancelled or self.reported

    @property
    def success(self) -> float | None:
        """Return the share of sent ones among those that were sent or failed; None if there are none."""
        done = self.sent + self.failed
        return self.sent / done if done else None


class History(NamedTuple):
    """The counts of a window: `total`, by time (`points`, by their start) and by value (`values`, largest first)."""

    start: datetime
    end: datetime
    total: Counts
    points: list[tuple[datetime, Counts]]
    values: list[tuple[str, Counts]]


class _Sum:
    """Counts that grow. `classes`: how many sent ones are in each class of time."""

    def __init__(self) -> None:
        self.outcomes: defaultdict[str, int] = defaultdict(int)
        self.classes: defaultdict[int, int] = defaultdict(int)

    def add(self, outcome: str, place: int, number: int) -> None:
        self.outcomes[outcome] += number
        if outcome == "sent":
            self.classes[place] += number

    def counts(self) -> Counts:
        of = self.outcomes
        p50, p95 = (percentile(self.classes, share) for share in (0.5, 0.95))
        reports = [of[name] for name in REPORTS]
        return Counts(of["sent"], of["failed"], of["cancelled"], p50, p95, *reports)


def read(client_id: int | None, window: Window, dimension: str) -> History:
    """Return the counts of a client (None: of all clients together) by the values of a dimension.

    The values of the dimension "client" are names. That of one client has this client as its only value.
    """
    whose = ALL_CLIENTS if client_id is None else client_id
    [(start, end)] = rows(
        "SELECT t - %s * interval '1 hour', t FROM (SELECT date_bin(%s * interval '1 hour', now(),"
        " '2000-01-01T00:00:00Z') + %s * interval '1 hour') AS now (t)",
        *(window.hours, window.step, window.step),
    )
    total, points = _over_time(whose, window, start)
    if client_id is not None and dimension == "client":
        values = [(str(client_id), total)] if any(total[:3]) else []
    else:
        values = _by_value(whose, dimension, start)
    if dimension == "client":
        values = _named(values)
    return History(start, end, total, points, values)


def _over_time(whose: int, window: Window, start: datetime) -> tuple[Counts, list[tuple[datetime, Counts]]]:
    # Each notification has one type, so that the sum over all types counts it once.
    found = rows(
        "SELECT date_bin(%s * interval '1 hour', hour, %s), outcome, class, sum(number)::bigint FROM history"
        " WHERE client_id = %s AND dimension = 'type' AND hour >= %s GROUP BY 1, 2, 3",
        *(window.step, start, whose, start),
    )
    moments = [start + timedelta(hours=hours) for hours in range(0, window.hours, window.step)]
    sums: dict[Any, _Sum] = {moment: _Sum() for moment in moments}
    whole = _Sum()
    for moment, outcome, place, number in found:
        whole.add(outcome, place, number)
        if moment in sums:
            sums[moment].add(outcome, place, number)
    return whole.counts(), [(moment, sums[moment].counts()) for moment in moments]


def _by_value(whose: int, dimension: str, start: datetime) -> list[tuple[str, Counts]]:
    found = rows(
        """
        WITH most AS MATERIALIZED (
            SELECT value FROM history WHERE client_id = %s AND dimension = %s AND hour >= %s
            GROUP BY value ORDER BY sum(number) DESC, value LIMIT %s
        )
        SELECT value, outcome, class, sum(number)::bigint FROM history JOIN most USING (value)
        WHERE client_id = %s AND dimension = %s AND hour >= %s GROUP BY 1, 2, 3
        """,
        *(whose, dimension, start, SHOWN),
        *(whose, dimension, start),
    )
    return _sorted(found)


def _named(values: list[tuple[str, Counts]]) -> list[tuple[str, Counts]]:
    """Return the counts of clients with their names instead of their ids."""
    names = dict(rows("SELECT id::text, name FROM clients WHERE id = ANY(%s)", [int(id) for id, _ in values]))
    return [(names.get(id, id), counts) for id, counts in values]


def _sorted(found: Iterable[tuple[Any, ...]]) -> list[tuple[str, Counts]]:
    sums: defaultdict[str, _Sum] = defaultdict(_Sum)
    for value, outcome, place, number in found:
        sums[value].add(outcome, place, number)
    counted = [(value, one.counts()) for value, one in sums.items()]
    # What has no value of its own comes last.
    return sorted(counted, key=lambda item: (item[0] == "", -item[1].size, item[0]))
