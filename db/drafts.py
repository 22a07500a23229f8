"""Pass drafts to a statement as rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import NamedTuple

from db import columns
from db.records import COLUMN_TYPES, DRAFT_COLUMNS, Draft
from db.suppressions import listed

# The notifications of a priority and a client.
Group = tuple[str, int]

# The columns that accepting a draft decides: see `fate`.
FATE_COLUMNS = "status, failure_reason, last_error, finished_at, next_attempt_at, dispatch_after, rung"
_FATE = """CASE WHEN suppressed IS NULL THEN 'pending' ELSE 'failed' END,
       CASE WHEN suppressed IS NOT NULL THEN 'suppressed' END,
       suppressed,
       CASE WHEN suppressed IS NOT NULL THEN now() END,
       CASE WHEN suppressed IS NULL THEN greatest(send_at, now()) END,
       CASE WHEN suppressed IS NOT NULL THEN NULL
            WHEN send_at > now() THEN send_at ELSE now() + {wait} * interval '1 second' END,
       (send_at > now()) IS NOT TRUE{unless_left}"""
_FATE_OF_ALL = _FATE.format(wait="%s", unless_left="")
_IS_LEFT = "(lane, client_id) IN (SELECT * FROM unnest(%s::text[], %s::bigint[]))"
_FATE_WITH_LEFT = _FATE.format(
    wait=f"CASE WHEN {_IS_LEFT} THEN 0 ELSE %s::float8 END", unless_left=f" AND NOT {_IS_LEFT}"
)


class Fate(NamedTuple):
    """SQL for SELECT with the values of FATE_COLUMNS, and its parameters."""

    sql: str
    values: list[object]


class Source(NamedTuple):
    """SQL for FROM, and its parameters.

    It has a row for each draft: the draft's columns, the additional columns, its `place` from 1 on, and
    `suppressed`, the reason why it must not be sent, or NULL.
    """

    sql: str
    values: list[object]


class Column(NamedTuple):
    """An additional column, with a value for each draft."""

    name: str
    type: str
    values: Sequence[object]


def fate(grace: float, left: Collection[Group] = ()) -> Fate:
    """Return SQL that makes a draft pending and due at its time, or failed if it is suppressed.

    The caller enqueues what is due at once; the relay does if it is still pending after `grace` seconds. Only
    the relay enqueues what is to be sent later, and the groups in `left`.
    """
    if not left:
        return Fate(_FATE_OF_ALL, [grace])
    priorities, clients = map(list, zip(*left, strict=True))
    return Fate(_FATE_WITH_LEFT, [priorities, clients, grace, priorities, clients])


def source(drafts: Sequence[Draft], *beside: Column) -> Source:
    """Return the drafts as rows. A column whose values are all equal is sent once, so it costs next to nothing."""
    given = [*zip(_COLUMNS, zip(*drafts, strict=True), strict=False), *(((c.name, c.type), c.values) for c in beside)]
    same: dict[columns.Column, object] = {}
    varying: dict[columns.Column, Sequence[object]] = {}
    for column, values in given:
        if values.count(values[0]) == len(values):
            same[column] = values[0]
        else:
            varying[column] = list(values)
    sql = _source(tuple(same), tuple(varying), len(drafts) if not varying else 0)
    return Source(sql, [*same.values(), *varying.values()])


# In the order of Draft's fields. The last field is not a column.
_COLUMNS = [(name, COLUMN_TYPES[name]) for name in DRAFT_COLUMNS]


@lru_cache(256)
def _source(same: Sequence[columns.Column], varying: Sequence[columns.Column], rows: int) -> str:
    """Return the SQL of `source`. `rows`: the number of rows, if no column varies."""
    selected = ", ".join([*columns.once(same), *(name for name, _ in varying), "place"])
    given = columns.unnested(varying, "place") if varying else f"generate_series(1, {rows}) AS v (place)"
    return f"""(SELECT draft.*, listed.error AS suppressed
             FROM (SELECT {selected} FROM {given}) AS draft LEFT JOIN {listed("draft")} ON true) AS draft"""
