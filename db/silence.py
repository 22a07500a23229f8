"""Judge by its own history whether a provider fell silent: reports about what it took no longer come.

The hours in which notifications were sent are compared with the days before. Each hour has the number of notifications
that the provider took, and of those about which a report came, whenever it came. So a burst that was just sent, or a
quiet night, is no silence. Call within `connection()`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from statistics import median
from typing import NamedTuple

from db.database import rows

HOUR = timedelta(hours=1)
LATE = 1  # newest whole hours that are not judged, because reports about them may still come
LEAST, MOST = 3, 72  # hours that are judged: as few as have ENOUGH
ENOUGH = 20  # reports that would usually have come about the notifications of these hours
BEFORE = 14  # days whose shares are compared
DAYS = 2  # of them that must be known
FAR = 0.25  # below this part of what is usual, a provider is silent
NEAR = 0.5  # from this part of what is usual, it is heard again
# A provider whose usual share is lower reports little but failures, whose share varies with the recipients. It is
# silent if it reports nothing where as many reports would be usual.
RARE, RARE_ENOUGH = 0.5, 100
BEHIND = 1_800  # seconds that a report has waited to be read, from which on nothing is judged

Numbers = tuple[int, int]  # notifications that were sent in an hour, and those of them about which a report came


class Judged(NamedTuple):
    """Result for the last `hours`. `usual`: share of notifications about which a report usually comes."""

    silent: bool
    hours: int
    sent: int
    reported: int
    usual: float


class Standing(NamedTuple):
    """A provider. `since`: when it was noticed that it is silent; None if it is not.

    `judged`: what its last hours show; None if it never reported, or too little was sent to tell.
    """

    provider: str
    since: datetime | None
    judged: Judged | None


def judge(hours: Mapping[datetime, Numbers], end: datetime, usual_before: float | None = None) -> Judged | None:
    """Return what the hours before `end` show; None if they are too few to tell.

    `usual_before`: the usual share before the provider fell silent; None if it is not silent.
    """
    usual = usual_before or _usual(hours, end - LEAST * HOUR)
    if not usual:
        return None
    enough, sent, reported = ENOUGH if usual >= RARE else RARE_ENOUGH, 0, 0
    for number in range(1, MOST + 1):
        more_sent, more_reported = hours.get(end - number * HOUR, (0, 0))
        sent, reported = sent + more_sent, reported + more_reported
        if number >= LEAST and sent * usual >= enough:
            bar = sent * usual * (NEAR if usual_before else FAR) if usual >= RARE else 1
            return Judged(reported < bar, number, sent, reported, usual)
    return None


def standings() -> list[Standing]:
    """Return how each provider stands that a worker has reported, by name."""
    known = rows("SELECT name, silent_since, usual_share FROM providers WHERE config <> '{}' ORDER BY name")
    if _reading_is_behind():
        return [Standing(name, since, None) for name, since, _ in known]
    [(end,)] = rows("SELECT date_trunc('hour', now(), 'UTC') - %s * interval '1 hour'", LATE)
    hours = _hours(end)
    return [Standing(name, since, judge(hours.get(name, {}), end, usual)) for name, since, usual in known]


def _usual(hours: Mapping[datetime, Numbers], end: datetime) -> float | None:
    """Return the median of the shares of the days before `end`; None if they are too few."""
    shares = list(_shares(hours, end))
    return median(shares) if len(shares) >= DAYS else None


def _shares(hours: Mapping[datetime, Numbers], end: datetime) -> Iterator[float]:
    """Yield the share of each day before `end`, newest first. Days with less than ENOUGH notifications are joined."""
    began = min((at for at, (_, reported) in hours.items() if reported), default=end)
    length = sent = reported = 0
    for number in range(1, BEFORE * 24 + 1):
        at = end - number * HOUR
        if at < began:
            return
        more_sent, more_reported = hours.get(at, (0, 0))
        length, sent, reported = length + 1, sent + more_sent, reported + more_reported
        if length >= 24 and sent >= ENOUGH:
            yield reported / sent
            length = sent = reported = 0


def _hours(end: datetime) -> dict[str, dict[datetime, Numbers]]:
    """Return the numbers of each hour before `end`, by provider."""
    found = rows(
        """
        SELECT value, hour, coalesce(sum(number) FILTER (WHERE outcome = 'sent'), 0)::bigint,
               coalesce(sum(number) FILTER (WHERE outcome = 'reported'), 0)::bigint
        FROM history WHERE client_id = 0 AND dimension = 'provider' AND hour < %s AND hour >= %s GROUP BY 1, 2
        """,
        *(end, end - timedelta(days=BEFORE) - LEAST * HOUR),
    )
    hours: dict[str, dict[datetime, Numbers]] = {}
    for provider, hour, sent, reported in found:
        hours.setdefault(provider, {})[hour] = (sent, reported)
    return hours


def _reading_is_behind() -> bool:
    """Return whether reports came that no worker has read yet: they may be about what is judged."""
    waiting = "SELECT 1 FROM reports WHERE state = 'new' AND due_at < now() - %s * interval '1 second' LIMIT 1"
    return bool(rows(waiting, BEHIND))
