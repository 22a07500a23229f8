"""Drafts as rows of a statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from db.records import COLUMN_TYPES, DRAFT_COLUMNS, Draft
from db.suppressions import listed

# What becomes of a draft when it is accepted, for the two statements that do so. It is pending, and due at its
# time: the caller rings first, or for a later one the relay. Or it has failed, because it is suppressed.
# Parameter: the relay's grace, in seconds.
FATE_COLUMNS = "status, failure_reason, last_error, finished_at, next_attempt_at, dispatch_after, rung"
FATE = """CASE WHEN suppressed IS NULL THEN 'pending' ELSE 'failed' END,
       CASE WHEN suppressed IS NOT NULL THEN 'suppressed' END,
       suppressed,
       CASE WHEN suppressed IS NOT NULL THEN now() END,
       CASE WHEN suppressed IS NULL THEN greatest(send_at, now()) END,
       CASE WHEN suppressed IS NOT NULL THEN NULL
            WHEN send_at > now() THEN send_at ELSE now() + %s * interval '1 second' END,
       (send_at > now()) IS NOT TRUE"""


class Source(NamedTuple):
    """SQL for FROM, and its values: a row per draft with its columns, those `beside` it, its `place` from 1 on,
    and `suppressed`: why it must not be sent, if so.
    """

    sql: str
    values: list[object]


class Column(NamedTuple):
    """What goes beside the drafts: a value for each."""

    name: str
    type: str
    values: Sequence[object]


def source(drafts: Sequence[Draft], *beside: Column) -> Source:
    """A column whose values are all the same is sent once: it costs next to nothing however many rows there are."""
    columns = [
        Column(name, COLUMN_TYPES[name], values)
        for name, values in zip(Draft._fields, zip(*drafts, strict=True), strict=True)
        if name in DRAFT_COLUMNS
    ]
    columns += beside
    same = [c for c in columns if list(c.values).count(c.values[0]) == len(c.values)]
    varying = [c for c in columns if c not in same]
    selected = ", ".join([*(f"%s::{c.type} AS {c.name}" for c in same), *(c.name for c in varying), "place"])
    if varying:
        arrays = ", ".join(f"%s::{c.type}[]" for c in varying)
        names = ", ".join(c.name for c in varying)
        rows = f"unnest({arrays}) WITH ORDINALITY AS v ({names}, place)"
    else:
        rows = f"generate_series(1, {len(drafts)}) AS v (place)"
    return Source(
        f"""(SELECT draft.*, listed.error AS suppressed
             FROM (SELECT {selected} FROM {rows}) AS draft LEFT JOIN {listed("draft")} ON true) AS draft""",
        [*(c.values[0] for c in same), *(list(c.values) for c in varying)],
    )
