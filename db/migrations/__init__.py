"""Numbered migrations beside this file, applied in order by one process at a time.

A new version is deployed in three moves: `migrate` (old and new programs work with what it leaves), the new
programs in place of the old ones, `finish` (which takes away what only the old ones needed). See docs/upgrades.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from peewee import NotSupportedError, ProgrammingError
from playhouse.migrations import Migration, Runner

from db import fitness
from db.database import Unavailable, connection, database, patiently, rows
from db.migrations import steps
from db.migrations.insistence import Limits, briefly
from db.migrations.lock import alone
from db.migrations.phases import is_after, known_to, number
from db.session import OURS
from runtime import logs

DIRECTORY = Path(__file__).parent
LIMITS = Limits()
_NAME = re.compile(r"\d{4}_\w+")
log = logs.get("migrate")


class WrongSchema(fitness.Unfit):
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

    Raises:
        Unfit: the database is none that this system can work with, or refuses a step.
    """
    with _migrating() as runner:
        fresh = not runner.applied()
        return _apply(runner, [m for m in _missing(runner) if fresh or not is_after(m.name)], limits)


def finish(limits: Limits = LIMITS) -> list[str]:
    """Apply all that is missing; return the names.

    Raises:
        OlderRunning: a version that needs what would be taken away is connected; nothing was applied.
    """
    with _migrating() as runner:
        missing = _missing(runner)
        afters = [m.name for m in missing if is_after(m.name)]
        if afters and runner.applied():
            _refuse_older(afters)
        return _apply(runner, missing, limits)


def pending() -> list[Pending]:
    """What has not run yet, in order."""
    with connection():
        fitness.check(writing=False)
        return [_described(m) for m in _missing(_runner())]


def check_start() -> None:
    """Return if a program that serves can start: as `check`, and it may write.

    Raises:
        Unfit: it cannot.
        Unavailable: it cannot be asked.
    """
    check()
    with connection():
        fitness.check()
        fitness.check_may_write()


def check() -> None:
    """Return if this version can work with the database's schema: it has all that is needed, and lost nothing of it.

    Raises:
        Unfit: it cannot.
        Unavailable: it cannot be asked.
    """
    try:
        with connection():
            fitness.check(writing=False)
            status = _runner().status()
    except Unavailable as error:
        said = fitness.advised(str(error))
        raise Unavailable(f"DATABASE_URL leads to no database that answers us: {said}") from None
    if names := [m.name for m in status if m.applied is None and not is_after(m.name)]:
        raise WrongSchema(f"the database lacks {', '.join(names)}: run `notify migrate`")
    if names := [m.name for m in status if m.path is None and is_after(m.name)]:
        raise WrongSchema(
            f"the database has {', '.join(names)}, which took away what this version may need, "
            "and which this version does not know: deploy a newer one"
        )


@contextmanager
def _migrating() -> Iterator[Runner]:
    with connection():
        fitness.check()
    with patiently(), connection():
        try:
            with alone():
                yield _runner()
        except (ProgrammingError, NotSupportedError) as error:
            raise fitness.refused(error, "the database was not migrated") from None


def _missing(runner: Runner) -> list[Migration]:
    return [m for m in runner.status() if m.applied is None]


def _refuse_older(afters: list[str]) -> None:
    if database.pooled():
        raise OlderRunning(
            f"{', '.join(afters)} would take away what older programs need, and a pooler hides who is connected: "
            "run it again with a DATABASE_URL that leads to PostgreSQL itself"
        )
    needed = number(afters[-1])
    connected = rows(
        f"SELECT application_name FROM pg_stat_activity WHERE {OURS} AND pid <> pg_backend_pid()",
    )
    older = [known for (name,) in connected if (known := known_to(name)) < needed]
    if older:
        raise OlderRunning(
            f"{', '.join(afters)} would take away what older programs need, and {len(older)} connections of such are "
            f"open (they know migrations up to {max(older):04}): stop those programs, and run it again"
        )


def _apply(runner: Runner, missing: list[Migration], limits: Limits) -> list[str]:
    if not missing:
        return []
    fitness.check_may_create()
    # Before the first change: what cannot be read must not stop halfway.
    modules = [(migration.name, migration.load()) for migration in missing]
    runner.History.create_table()
    for name, module in modules:
        try:
            _run(runner, name, module, limits)
        except (ProgrammingError, NotSupportedError) as error:
            raise fitness.refused(error, f"the migration {name} was not done") from None
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


def _refuse_hidden() -> None:
    """An installation further along the search_path: what is made now would not be part of it."""
    [(theirs, ours)] = rows(
        "SELECT (SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = to_regclass('schema_migration')),"
        " quote_ident(current_schema())"
    )
    if theirs is not None and theirs != ours:
        raise WrongSchema(
            f"the schema {theirs} has the tables, but {ours} comes first in the search_path: write ?schema={theirs} "
            f"in DATABASE_URL to go on with them, or ?schema={ours} to begin anew"
        )


def _runner() -> Runner:
    """Runner whose table can be read, and lists no migrations but ours."""
    runner = Runner(database, str(DIRECTORY))
    try:
        applied = runner.applied()
    except ProgrammingError as error:
        raise fitness.refused(error, "the table schema_migration cannot be read") from None
    if not applied and not database.schema_chosen:
        _refuse_hidden()
    newest = max(known.idx for known in runner.migrations())
    ours = {known.name for known in runner.migrations()}
    foreign = [
        name for name in sorted(applied) if name not in ours and not (_NAME.fullmatch(name) and number(name) > newest)
    ]
    if foreign:
        raise WrongSchema(
            f"the table schema_migration lists {foreign[0]}, which is no migration of this system: {fitness.ANOTHER}"
        )
    return runner
