"""PostgreSQL's planner and its log: what makes statements slow, and what writes messages into the log."""

from __future__ import annotations

from collections.abc import Iterator

from cli.doctor.findings import Finding, ok, warning
from db import planning
from db.planning import WANTED

CHECK = "plans"
LOG = "database log"


def findings() -> Iterator[Finding]:
    """Within `connection()`, where there is a schema."""
    found = [*_settings(), *_statistics()]
    yield from found or [ok(CHECK, "JIT is off for our sessions, and the statistics are fresh")]
    yield _log()


def _settings() -> Iterator[Finding]:
    for name, value in planning.hindering().items():
        yield warning(
            CHECK,
            f"{name} is {value} for our sessions: {_CONSEQUENCES.get(name, 'plans may read whole tables')}",
            f"end what overrides it: an option in DATABASE_URL; or, behind a pooler that drops our settings, run"
            f" ALTER ROLE CURRENT_USER SET {name} = {WANTED[name]}",
        )


def _statistics() -> Iterator[Finding]:
    if not planning.counting():
        yield warning(CHECK, "track_counts is off: autovacuum never analyzes, and plans go wrong", "set it on")
    if names := planning.unattended():
        yield warning(
            CHECK,
            f"autovacuum is off for {', '.join(names)}: it grows, and plans go wrong",
            f"ALTER TABLE {names[0]} RESET (autovacuum_enabled)",
        )
    for table in planning.stale():
        yield warning(
            CHECK,
            f"{table.changed:,} rows of {table.table} have changed since its last ANALYZE, and it has {table.rows:,}",
            f"ANALYZE {table.table}; and see why autovacuum does not (pg_stat_user_tables)",
        )


def _log() -> Finding:
    found = planning.logged()
    if not found:
        return ok(LOG, "no message and no address is written there")
    said = ", ".join(f"{name} = {value}" for name, value in found.items())
    return warning(
        LOG,
        f"PostgreSQL writes messages and addresses of statements into its log, of those that fail at least ({said})",
        "have a superuser set the quiet values for the role of DATABASE_URL: docs/security.md has the commands",
    )


_CONSEQUENCES = {
    "jit": "PostgreSQL may compile a statement of milliseconds for a second, each time",
    "plan_cache_mode": "statements may be planned at each execution",
}
