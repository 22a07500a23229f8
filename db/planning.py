"""Conditions that lead to bad plans, and settings by which the server logs our statements, for `notify doctor`.

Only reads, at a cost that does not grow with the tables. Call within `connection()`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from db import diagnosis
from db.database import rows

# The settings that our sessions need, and those by which PostgreSQL's planner may use every kind of plan.
WANTED: Mapping[str, str] = MappingProxyType(
    {
        "jit": "off",
        "plan_cache_mode": "force_generic_plan",
        "enable_seqscan": "on",
        "enable_indexscan": "on",
        "enable_indexonlyscan": "on",
        "enable_bitmapscan": "on",
        "enable_nestloop": "on",
        "enable_sort": "on",
    }
)
# Statistics are old if more than FEW rows, and more than this share of all rows, changed since the last ANALYZE.
FEW, SHARE = 50_000, 0.5


class Stale(NamedTuple):
    """A table with old statistics: about how many rows changed since the last ANALYZE, and how many it has."""

    table: str
    changed: int
    rows: int


def hindering() -> dict[str, str]:
    """Return the settings of this session that differ from WANTED, with their values."""
    found = diagnosis.in_force(list(WANTED))
    return {name: found[name] for name, value in WANTED.items() if found.get(name, value) != value}


def counting() -> bool:
    """Return whether the server counts changes. If it does not, autovacuum never analyzes."""
    return diagnosis.in_force(["track_counts"]) == {"track_counts": "on"}


def stale() -> list[Stale]:
    """Return our tables whose statistics are so old that plans may be wrong, the worst first."""
    found = rows(
        """
        SELECT c.relname, s.n_mod_since_analyze, greatest(s.n_live_tup, 0)
        FROM pg_class AS c JOIN pg_stat_user_tables AS s ON s.relid = c.oid
        WHERE c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('notifications'))
              AND s.n_mod_since_analyze > %s AND s.n_mod_since_analyze > s.n_live_tup * %s
        ORDER BY s.n_mod_since_analyze DESC
        """,
        FEW,
        SHARE,
    )
    return [Stale(*row) for row in found]


def unattended() -> list[str]:
    """Return our tables for which autovacuum was switched off."""
    found = rows(
        """
        SELECT relname FROM pg_class
        WHERE relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('notifications'))
              AND reloptions && ARRAY['autovacuum_enabled=false', 'autovacuum_enabled=off', 'autovacuum_enabled=0']
        ORDER BY relname
        """
    )
    return [name for (name,) in found]


def logged() -> dict[str, str]:
    """Return the settings by which the server logs statements of this session with their values.

    `log_error_verbosity` is among them if the server logs the details of errors, which may quote a row or a statement.
    """
    watched = {
        "log_statement": ("none", "ddl"),
        "log_min_duration_statement": ("-1",),
        "log_min_duration_sample": ("-1",),
        "log_transaction_sample_rate": ("0",),
        "log_min_error_statement": ("fatal", "panic"),
        "log_error_verbosity": ("terse",),
    }
    found = diagnosis.in_force(list(watched))
    return {name: found[name] for name, quiet in watched.items() if name in found and found[name] not in quiet}
