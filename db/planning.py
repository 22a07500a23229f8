"""What stands in the way of good plans, and what of our statements the server writes into its log.

For an operator who looks for what is wrong. Call within `connection()`; reads only, at a price that does not
grow with the tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from db import diagnosis
from db.database import rows

# What a session of ours must have, and what PostgreSQL's planner must be free to do. By name: the value that is right.
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
# Changes since the last ANALYZE that nobody need worry about; and of the rows, the share that is too much.
FEW, SHARE = 50_000, 0.5


class Stale(NamedTuple):
    """A table whose statistics are old: rows changed since the last ANALYZE, and rows in it, about."""

    table: str
    changed: int
    rows: int


def hindering() -> dict[str, str]:
    """The settings that are not as WANTED, with their values, as they are for this session."""
    found = diagnosis.in_force(list(WANTED))
    return {name: found[name] for name, value in WANTED.items() if found.get(name, value) != value}


def counting() -> bool:
    """Whether the server counts changes, without which autovacuum never analyzes."""
    return diagnosis.in_force(["track_counts"]) == {"track_counts": "on"}


def stale() -> list[Stale]:
    """Our tables whose statistics are so old that plans may be wrong, the worst first."""
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
    """Our tables for which autovacuum has been switched off."""
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
    """The settings by which the server writes statements of this session, values and all, into its log.

    `log_error_verbosity` is among them where the details of an error, which may quote a row or a statement, are logged.
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
