"""Numbered migrations beside this file, applied in order by one process at a time.

A new version is deployed in three moves: `migrate` (old and new programs work with what it leaves), the new
programs in place of the old ones, `finish` (which takes away what only the old ones needed). See docs/upgrades.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from playhouse.migrations import Migration, Runner

import logs
from db.database import Unavailable, connection, database, patiently, rows
from db.migrations import steps
from db.migrations.insistence import Limits, briefly
from db.migrations.lock import alone
from db.migrations.phases import APPLICATION, is_after, known_to, number

DIRECTORY = Path(__file__).parent
LIMITS = Limits()
log = logs.get("migrate")


class WrongSchema(Exception):
    """The database's schema is not one that this version can work with; the message says what to do."""


class OlderRunning(Exception):
    """Programs that a migration would break are connected; the message says what to do."""


class Pending(NamedTuple):
    """A migration that has not run. Of its `steps` so many are `done`; one that is no list of steps has one."""

    name: str
    phase: str
    about: str
    steps: int
    done: int


def migrate(limits: Limits = LIMITS) -> list[str]:
    """Apply what is missing and disturbs no older version; return the names. Several at once wait for each other.

    A database that is empty has no older version: it gets everything.
    """
    with patiently(), connection(), alone():
        runner = _runner()
        fresh = not runner.applied()
        return _apply(runner, [m for m in _missing(runner) if fresh or not is_after(m.name)], limits)


def finish(limits: Limits = LIMITS) -> list[str]:
    """Apply all that is missing; return the names.

    Raises:
        OlderRunning: a version that needs what would be taken away is connected; nothing was applied.
    """
    with patiently(), connection(), alone():
        runner = _runner()
        missing = _missing(runner)
        if afters := [m.name for m in missing if is_after(m.name)]:
            _refuse_older(afters)
        return _apply(runner, missing, limits)


def pending() -> list[Pending]:
    """What has not run yet, in order."""
    with connection():
        return [_described(m) for m in _missing(_runner())]


def check() -> None:
    """Return if this version can work with the database's schema: it has all that is needed, and lost nothing of it.

    Raises:
        WrongSchema: it cannot.
        Unavailable: it cannot be asked.
    """
    try:
        with connection():
            status = _runner().status()
    except Unavailable as error:
        raise Unavailable(f"DATABASE_URL leads to no database that answers us: {error}") from None
    if names := [m.name for m in status if m.applied is None and not is_after(m.name)]:
        raise WrongSchema(f"the database lacks {', '.join(names)}: run `notify migrate`")
    if names := [m.name for m in status if m.path is None and is_after(m.name)]:
        raise WrongSchema(
            f"the database has {', '.join(names)}, which took away what this version may need, "
            "and which this version does not know: deploy a newer one"
        )


def _missing(runner: Runner) -> list[Migration]:
    return [m for m in runner.status() if m.applied is None]


def _refuse_older(afters: list[str]) -> None:
    needed = number(afters[-1])
    connected = rows(
        "SELECT application_name FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND application_name LIKE %s",
        f"{APPLICATION}%",
    )
    older = [known for (name,) in connected if (known := known_to(name)) < needed]
    if older:
        raise OlderRunning(
            f"{', '.join(afters)} would take away what older programs need, and {len(older)} connections of such are "
            f"open (they know migrations up to {max(older):04}): stop those programs, and run it again"
        )


def _apply(runner: Runner, missing: list[Migration], limits: Limits) -> list[str]:
    # Before the first change: what cannot be read must not stop halfway.
    modules = [(migration.name, migration.load()) for migration in missing]
    runner.History.create_table()
    for name, module in modules:
        _run(runner, name, module, limits)
        log.debug("migration.applied", migration=name)
    return [name for name, _ in modules]


def _run(runner: Runner, name: str, module: Any, limits: Limits) -> None:
    def complete() -> None:
        runner.History.create(name=name)

    if hasattr(module, "STEPS"):
        steps.perform(name, module.STEPS, limits, complete)
        return

    def up() -> None:
        module.up(runner.migrator, database)
        complete()

    briefly(limits, up)


def _described(migration: Migration) -> Pending:
    module = migration.load()
    parts = getattr(module, "STEPS", ())
    already = steps.done(migration.name) & {steps.mark(step) for step in parts}
    about = (module.__doc__ or "").strip().partition("\n")[0]
    phase = "after" if is_after(migration.name) else "before"
    return Pending(migration.name, phase, about, len(parts) or 1, len(already))


def _runner() -> Runner:
    return Runner(database, str(DIRECTORY))
