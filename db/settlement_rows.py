"""Pass settlements to a statement as rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from db.columns import once, unnested
from db.records import Settlement

# The columns that are usually equal for all settlements of a statement, and those that differ.
_SHARED = (
    *(("status", "text"), ("reason", "text"), ("delay", "float8"), ("outcome", "text"), ("worker", "uuid")),
    *(("provider", "text"), ("phase", "text"), ("reply_code", "int"), ("enhanced_code", "text")),
    ("suppress", "int"),
)
_OWN = (
    *(("id", "bigint"), ("claim", "bigint"), ("started_ago", "float8"), ("finished_ago", "float8"), ("text", "text")),
    ("provider_message_id", "text"),
)


class SettlementRows(NamedTuple):
    """SQL for a row per settlement with the columns of _SHARED and _OWN, and its parameters."""

    sql: str
    values: list[object]


def settlement_rows(settlements: Sequence[Settlement], now: float) -> SettlementRows:
    """Return the settlements as rows. The attempts' times become seconds before `now`, a `time.monotonic()`.

    Shared columns are sent once if they are equal in all rows. There are only these two forms, because each form makes
    another statement to plan.
    """
    own = _columns([_own(s, now) for s in settlements])
    shared = [_shared(s) for s in settlements]
    if len(set(shared)) == 1:
        return SettlementRows(_ALIKE, [*shared[0], *own])
    return SettlementRows(_DIFFERENT, [*_columns(shared), *own])


def _own(settlement: Settlement, now: float) -> tuple[object, ...]:
    attempt = settlement.attempt
    times = (now - attempt.started, now - attempt.finished)
    return (settlement.id, settlement.claim, *times, attempt.text, attempt.provider_message_id)


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
