"""Read a page of the notifications whose subjects have all the given words. Call within `connection()`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from db import reports
from db.client_view import VIEW
from db.database import IN_ORDER, rows
from db.reports import Page, Position, Row
from db.subjects.bloom import may_hold
from db.subjects.keep import SPAN
from db.subjects.words import words

SPANS_READ = 30  # spans that a page reads, at most
FILTERS_READ = 20_000  # filters that a page looks at, at most
AT_ONCE = 100  # notifications that one statement reads
WORDS = 8  # words that are looked up in the filters, the longest ones; all are compared with the subjects
# Ids grow with time, but not exactly: of two requests at the same moment, the later one may get the lower id.
SLACK = 10 * SPAN


def page(client: int, wanted: frozenset[str], filters: Mapping[str, Any], after: Position | None, limit: int) -> Page:
    """Return up to `limit` notifications of a client that also match `filters`, the highest ids first.

    `filters` are those of a list of the API. A page that ended early has few rows, or none, and a position.
    """
    lowest, below = _range(client, filters, after)
    found: list[Row] = []
    read = 0
    for span, is_read in _spans(client, wanted, below):
        if span < lowest // SPAN:
            break
        if is_read:
            found += _rows(client, _matching(client, wanted, span, below), filters, limit + 1 - len(found))
            read += 1
        if len(found) > limit:
            last = found[limit - 1]
            return Page(found[:limit], Position(last["created_at"], last["id"]))
        if read == SPANS_READ or not is_read:
            return Page(found, _begin(span))
    return Page(found, None)


def _range(client: int, filters: Mapping[str, Any], after: Position | None) -> tuple[int, int]:
    """Return the lowest id that may match, and an id that all matches are below."""
    lowest, below = 0, after.id if after else _newest(below=2**63 - 1) + 1
    of_client = f"{IN_ORDER}SELECT id FROM {VIEW} AS n WHERE client_id = %s AND created_at"
    if "created_from" in filters:
        first = rows(f"{of_client} >= %s ORDER BY created_at, id LIMIT 1", client, filters["created_from"])
        lowest = first[0][0] - SLACK if first else below
    if "created_to" in filters:
        last = rows(f"{of_client} < %s ORDER BY created_at DESC, id DESC LIMIT 1", client, filters["created_to"])
        below = min(below, last[0][0] + SLACK) if last else 0
    return lowest, below


def _spans(client: int, wanted: frozenset[str], below: int) -> Iterator[tuple[int, bool]]:
    """Yield the spans that may have a match, the highest first: those without a filter, and those whose filter says so.

    If that takes too many filters, the last is a span that all were looked at down to, and False.
    """
    [(low, high)] = rows("SELECT min(span), max(span) FROM subject_words")
    while (id := _newest(below)) >= 0:
        span = id // SPAN
        if low is None or not low <= span <= high:
            yield span, True
            below = span * SPAN
            continue
        end = _last_looked_at(span)
        yield from ((one, True) for one in _promising(client, wanted, span, end or low))
        if end is not None:
            yield end, False
        below = low * SPAN


def _last_looked_at(span: int) -> int | None:
    found = rows(
        f"{IN_ORDER}SELECT span FROM subject_words WHERE span <= %s ORDER BY span DESC OFFSET %s LIMIT 1",
        *(span, FILTERS_READ - 1),
    )
    return int(found[0][0]) if found else None


def _promising(client: int, wanted: frozenset[str], first: int, last: int) -> list[int]:
    longest = sorted(wanted, key=len, reverse=True)[:WORDS]
    condition, values = may_hold([(client, word) for word in longest])
    found = rows(
        f"{IN_ORDER}SELECT span FROM subject_words WHERE span BETWEEN %s AND %s AND (words IS NULL OR {condition})"
        " ORDER BY span DESC LIMIT %s",
        *(last, first, *values, SPANS_READ),
    )
    return [span for (span,) in found]


def _matching(client: int, wanted: frozenset[str], span: int, below: int) -> list[int]:
    found = rows(
        f"SELECT id, subject FROM {VIEW} AS n WHERE id >= %s AND id < %s AND client_id = %s",
        *(span * SPAN, min(below, (span + 1) * SPAN), client),
    )
    return sorted((id for id, subject in found if wanted <= words(subject)), reverse=True)


def _rows(client: int, ids: Sequence[int], filters: Mapping[str, Any], most: int) -> list[Row]:
    """Return the first of these notifications that match `filters`: at least `most`, or all."""
    found: list[Row] = []
    for first in range(0, len(ids), AT_ONCE):
        found += reports.among(client, ids[first : first + AT_ONCE], filters)
        if len(found) >= most:
            break
    return found


def _newest(below: int) -> int:
    """Return the highest id below another one; -1 if there is none."""
    [(id,)] = rows(f"SELECT max(id) FROM {VIEW} AS n WHERE id < %s", below)
    return -1 if id is None else int(id)


def _begin(span: int) -> Position | None:
    """Return the position from which a search goes on that has read a span; None if nothing is left."""
    found = rows(f"{IN_ORDER}SELECT created_at FROM {VIEW} AS n WHERE id >= %s ORDER BY id LIMIT 1", span * SPAN)
    return Position(found[0][0], span * SPAN) if found and _newest(span * SPAN) >= 0 else None
