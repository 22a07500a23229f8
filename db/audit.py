"""The audit log: who changed keys, clients, pauses, templates and other data. Records are never changed.

Acts on one notification are events in its timeline. This log has the acts that concern many notifications, keys
or logins. An act that writes to the database and its record are one transaction. Call within `connection()`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, ParamSpec, TypeVar

from db.database import database, rows

P = ParamSpec("P")
T = TypeVar("T")
Row = dict[str, Any]
LOOKED_AT = 10_000  # records that one page looks at for a filter without an index
ACTORS = ("key", "cli", "worker", "anybody")

_COLUMNS = (
    *("id", "at", "act", "outcome", "client_id", "target", "detail"),
    *("actor", "key_id", "name", "address", "request_id"),
)


class By(NamedTuple):
    """An actor: a key, the command line as the user `name`, a worker on the host `name`, or anybody (AUTH=off).

    `address`: the IP address that the request came from, if it is known.
    """

    actor: str
    key_id: int | None = None
    name: str | None = None
    address: str | None = None
    request_id: str | None = None


class Act(NamedTuple):
    """An act on a `target` of a client (None: of all clients). `detail` holds no content, secret or address.

    `outcome`: `done`, or `begun` if the work goes on after the record.
    """

    act: str
    client_id: int | None
    target: str | None = None
    detail: Mapping[str, Any] = {}
    outcome: str = "done"


def mark(address: str) -> str:
    """Return a digest of a normalised address. The log holds this instead of the address."""
    return f"sha256:{hashlib.sha256(address.encode()).hexdigest()[:16]}"


def record(by: By, act: Act) -> None:
    """Add a record."""
    rows(
        "INSERT INTO audit (act, client_id, target, detail, outcome, actor, key_id, name, address, request_id)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        *(act.act, act.client_id, act.target, json.dumps(act.detail), act.outcome),
        *by,
    )


def recorded(by: By, told: Callable[[T], Act | None], do: Callable[P, T]) -> Callable[P, T]:
    """Return `do` wrapped in a transaction that also records its result.

    `told` makes the record; no record is written if it returns None.
    """

    def doing(*args: P.args, **kwargs: P.kwargs) -> T:
        with database.atomic():
            result = do(*args, **kwargs)
            if (act := told(result)) is not None:
                record(by, act)
        return result

    return doing


def newest(client_id: int | None, filters: Mapping[str, Any], before: int | None, limit: int) -> list[Row]:
    """Return up to `limit` records about a client (None: about all), newest first, from below the id `before`.

    `filters`: act, actor, key_id, after (an id), created_from (inclusive), created_to (exclusive).
    """
    conditions = [("client_id = %s", client_id)] if client_id is not None else []
    conditions += [("id < %s", before)] if before is not None else []
    conditions += [(_CONDITIONS[name], value) for name, value in filters.items()]
    where = f"WHERE {' AND '.join(sql for sql, _ in conditions)}" if conditions else ""
    return _rows(f"{where} ORDER BY id DESC LIMIT %s", *(value for _, value in conditions), limit)


class Page(NamedTuple):
    """Records, and the id below which the next page starts; None: this is the last page."""

    rows: list[Row]
    before: int | None


def page(client_id: int | None, filters: Mapping[str, Any], before: int | None, limit: int) -> Page:
    """Return a page of `newest` that looks at no more than LOOKED_AT records.

    A page with few records, or none, may still have a next one.
    """
    whose, values = ("client_id = %s", [client_id]) if client_id is not None else ("true", [])
    if before is not None:
        whose, values = f"{whose} AND id < %s", [*values, before]
    looked_at = f"(SELECT * FROM audit WHERE {whose} ORDER BY id DESC LIMIT {LOOKED_AT}) AS looked_at"
    asked = "".join(f" AND {_CONDITIONS[name]}" for name in filters)
    found = rows(
        f"SELECT {', '.join(_COLUMNS)} FROM {looked_at} WHERE true{asked} ORDER BY id DESC LIMIT %s",
        *(*values, *filters.values(), limit + 1),
    )
    shown = [dict(zip(_COLUMNS, row, strict=True)) for row in found[:limit]]
    if len(found) > limit:
        return Page(shown, shown[-1]["id"])
    last = rows(f"SELECT id FROM audit WHERE {whose} ORDER BY id DESC OFFSET {LOOKED_AT - 1} LIMIT 1", *values)
    return Page(shown, last[0][0] if last else None)


def rows_after(client_id: int | None, after: int, limit: int) -> list[Row]:
    """Return up to `limit` records about a client (None: about all) with ids above `after`, oldest first."""
    return _rows(
        "WHERE id > %s AND (%s::bigint IS NULL OR client_id = %s) ORDER BY id LIMIT %s",
        *(after, client_id, client_id, limit),
    )


def forget(kept: float, most: int) -> int:
    """Delete those of the `most` oldest records that are older than `kept` seconds. Return how many."""
    with database.atomic():
        rows("SELECT set_config('notify.audit_kept', %s, true)", str(kept))
        gone = rows(
            "DELETE FROM audit WHERE id IN (SELECT id FROM audit ORDER BY id LIMIT %s)"
            " AND at < now() - %s * interval '1 second' RETURNING id",
            *(most, kept),
        )
    return len(gone)


def _rows(sql: str, *parameters: object) -> list[Row]:
    found = rows(f"SELECT {', '.join(_COLUMNS)} FROM audit {sql}", *parameters)
    return [dict(zip(_COLUMNS, row, strict=True)) for row in found]


_CONDITIONS = {
    "act": "act = %s",
    "after": "id > %s",
    "actor": "actor = %s",
    "key_id": "key_id = %s",
    "created_from": "at >= %s",
    "created_to": "at < %s",
}
