"""Settlements as rows of a statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from db.columns import once, unnested
from db.records import Settlement

# What most have in common, and what each has for itself.
_SHARED = (
    *(("status", "text"), ("reason", "text"), ("delay", "float8"), ("outcome", "text"), ("worker", "uuid")),
    *(("provider", "text"), ("phase", "text"), ("reply_code", "int"), ("enhanced_code", "text")),
    ("suppress", "boolean"),
)
_OWN = (("id", "bigint"), ("claim", "bigint"), ("started_ago", "float8"), ("finished_ago", "float8"), ("text", "text"))


class Verdicts(NamedTuple):
    """SQL of a row per settlement, with the columns of _SHARED and _OWN, and its values."""

    sql: str
    values: list[object]


def verdicts(settlements: Sequence[Settlement], now: float) -> Verdicts:
    """The attempts' times are seconds before `now`, a `time.monotonic()` of this process.

    What all have in common is sent once. There are two forms and no more: each makes statements to be planned.
    """
    own = _columns([_own(s, now) for s in settlements])
    shared = [_shared(s) for s in settlements]
    if len(set(shared)) == 1:
        return Verdicts(_ALIKE, [*shared[0], *own])
    return Verdicts(_DIFFERENT, [*_columns(shared), *own])


def _own(settlement: Settlement, now: float) -> tuple[object, ...]:
    attempt = settlement.attempt
    return (settlement.id, settlement.claim, now - attempt.started, now - attempt.finished, attempt.text)


def _shared(s: Settlement) -> tuple[object, ...]:
    a = s.attempt
    return (
        *(s.status, s.reason, s.delay, a.outcome, str(a.worker)),
        *(a.provider, a.phase, a.reply_code, a.enhanced_code, s.suppress),
    )


def _columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


_ALIKE = f"SELECT {', '.join(once(_SHARED))}, v.* FROM {unnested(_OWN)}"
_DIFFERENT = f"SELECT * FROM {unnested([*_SHARED, *_OWN])}"
