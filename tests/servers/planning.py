"""The plans that PostgreSQL has used, as its auto_explain tells the client that asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from db.database import database, rows

# For postgresql.conf. Only ANALYZE of the tests changes what the planner knows, and nothing must outlast a crash.
SETTINGS = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_level": "notice",
    "auto_explain.log_format": "json",
    "auto_explain.log_nested_statements": "on",
    "autovacuum": "off",
    "fsync": "off",
    "max_wal_size": "4GB",
}


class Plan(NamedTuple):
    """One plan. `cost` is the largest of its nodes'; `jit` says that PostgreSQL compiles it."""

    statement: str
    cost: float
    jit: bool
    text: str


def listen() -> None:
    """Keep all that the server tells this thread's connection from now on."""
    database.connection().notices = []


def used() -> list[Plan]:
    """The plans that this connection has used since it was last asked, or since `listen`."""
    notices = database.connection().notices
    found = [json.loads(notice[notice.index("{") :]) for notice in notices if " plan:" in notice]
    notices.clear()
    return [
        Plan(plan["Query Text"], max(_costs(plan["Plan"])), "JIT" in plan, "\n".join(_lines(plan["Plan"])))
        for plan in found
        if "pg_stat_" not in plan["Query Text"]
    ]


def read() -> int:
    """Rows that statements have read so far in this database, and entries of indexes."""
    rows("SELECT pg_stat_force_next_flush()")
    [(entries,)] = rows("SELECT coalesce(sum(idx_tup_read), 0)::bigint FROM pg_stat_user_indexes")
    [(tuples,)] = rows("SELECT coalesce(sum(seq_tup_read), 0)::bigint FROM pg_stat_user_tables")
    return int(entries + tuples)


def _costs(node: dict[str, Any]) -> Iterator[float]:
    yield float(node["Total Cost"])
    for child in node.get("Plans", []):
        yield from _costs(child)


def _lines(node: dict[str, Any], indent: str = "") -> Iterator[str]:
    place = node.get("Index Name") or node.get("Relation Name") or node.get("Subplan Name") or ""
    yield f"{indent}{node['Node Type']} {place} (cost {node['Total Cost']:.0f}, rows {node['Plan Rows']})"
    for child in node.get("Plans", []):
        yield from _lines(child, indent + "  ")
