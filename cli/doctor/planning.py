"""Probe of PostgreSQL's planner, which can make statements slow, and of its log, which may contain messages."""

from __future__ import annotations

from collections.abc import Iterator

from cli.doctor.findings import Finding, ok, warning
from db import planning
from db.planning import WANTED

CHECK = "plans"
LOG = "database log"


def findings() -> Iterator[Finding]:
    """Yield the findings. Needs an open `connection()` and a schema."""
    found = [*_settings(), *_statistics()]
    yield from found or [ok(CHECK, "JIT is off for our sessions, and the statistics are up to date")]
    yield _log()


def _settings() -> Iterator[Finding]:
    for name, value in planning.hindering().items():
        yield warning(
            CHECK,
            f"{name} is {value} for our sessions: {_CONSEQUENCES.get(name, 'plans may read whole tables')}",
            f"remove what overrides it, an option in DATABASE_URL; or, behind a pooler that drops our settings, run"
            f" ALTER ROLE CURRENT_USER SET {name} = {WANTED[name]}",
        )


def _statistics() -> Iterator[Finding]:
    if not planning.counting():
        yield warning(CHECK, "track_counts is off: autovacuum never analyzes tables, and plans go wrong", "set it on")
    if names := planning.unattended():
        yield warning(
            CHECK,
            f"autovacuum is off for {', '.join(names)}: such tables grow, and plans go wrong",
            f"ALTER TABLE {names[0]} RESET (autovacuum_enabled)",
        )
    for table in planning.stale():
        yield warning(
            CHECK,
            f"{table.changed:,} of the {table.rows:,} rows of {table.table} have changed since its last ANALYZE",
            f"run ANALYZE {table.table}, and find out why autovacuum does not (pg_stat_user_tables)",
        )


def _log() -> Finding:
    found = planning.logged()
    if not found:
        return ok(LOG, "it contains no messages and no addresses")
    said = ", ".join(f"{name} = {value}" for name, value in found.items())
    return warning(
        LOG,
        f"PostgreSQL writes messages and addresses into its log, at least those of statements that fail ({said})",
        "have a superuser change these settings for the role of DATABASE_URL: docs/security.md has the commands",
    )


_CONSEQUENCES = {
    "jit": "PostgreSQL may spend a second compiling a statement that takes milliseconds, at every execution",
    "plan_cache_mode": "statements may be planned at every execution",
}
