"""Apply the numbered migrations in this folder, in order, in one process at a time.

A new version is deployed in three steps: `migrate` (old and new programs work with the result), replace the old
programs, `finish` (remove what only the old ones needed). See docs/upgrades.md.
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


class WrongSchema(fitness.Unusable):
    """This version cannot work with the schema of the database; the message says what to do."""


class OlderRunning(Exception):
    """Programs are connected that a migration would break; the message says what to do."""


class Pending(NamedTuple):
    """A migration that was not applied yet: how many steps it has, and how many are done.

    A migration without STEPS counts as one step.
    """

    name: str
    phase: str
    about: str
    steps: int
    done: int


def migrate(limits: Limits = LIMITS) -> list[str]:
    """Apply the missing migrations that do not disturb older versions. Return their names.

    An empty database gets all migrations. Concurrent calls wait for each other.

    Raises:
        Unusable: this system cannot work with the database, or the database refuses a step.
    """
    with _migrating() as runner:
        fresh = not runner.applied()
        return _apply(runner, [m for m in _missing(runner) if fresh or not is_after(m.name)], limits)


def finish(limits: Limits = LIMITS) -> list[str]:
    """Apply all missing migrations. Return their names.

    Raises:
        OlderRunning: a program is connected that needs what would be removed; nothing was applied.
    """
    with _migrating() as runner:
        missing = _missing(runner)
        afters = [m.name for m in missing if is_after(m.name)]
        if afters and runner.applied():
            _refuse_older(afters)
        return _apply(runner, missing, limits)


def pending() -> list[Pending]:
    """Return the migrations that were not applied yet, in order."""
    with connection():
        fitness.check(writing=False)
        return [_described(m) for m in _missing(_runner())]


def check_start() -> None:
    """Check that a program that serves can start: like `check`, and it may write.

    Raises:
        Unusable: it cannot.
        Unavailable: the database does not answer.
    """
    check()
    with connection():
        fitness.check()
        fitness.check_may_write()


def check() -> None:
    """Check that this version can work with the schema: nothing it needs is missing or was removed.

    Raises:
        Unusable: it cannot.
        Unavailable: the database does not answer.
    """
    try:
        with connection():
            fitness.check(writing=False)
            status = _runner().status()
    except Unavailable as error:
        said = fitness.advised(str(error))
        raise Unavailable(f"DATABASE_URL leads to no database that answers: {said}") from None
    if names := [m.name for m in status if m.applied is None and not is_after(m.name)]:
        raise WrongSchema(f"the database lacks {', '.join(names)}: run `notify migrate`")
    if names := [m.name for m in status if m.path is None and is_after(m.name)]:
        raise WrongSchema(
            f"the database has {', '.join(names)}, which removed what this version may need, "
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
            f"{', '.join(afters)} would remove what older programs need, and a pooler hides who is connected: "
            "run it again with a DATABASE_URL that leads to PostgreSQL itself"
        )
    needed = number(afters[-1])
    connected = rows(
        f"SELECT application_name FROM pg_stat_activity WHERE {OURS} AND pid <> pg_backend_pid()",
    )
    older = [known for (name,) in connected if (known := known_to(name)) < needed]
    if older:
        raise OlderRunning(
            f"{', '.join(afters)} would remove what older programs need, and {len(older)} connections of such are "
            f"open (they know migrations up to {max(older):04}): stop those programs, and run it again"
        )


def _apply(runner: Runner, missing: list[Migration], limits: Limits) -> list[str]:
    if not missing:
        return []
    fitness.check_may_create()
    # Load all modules before the first change, so that a faulty file cannot stop the migration halfway.
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
    """Refuse to migrate if a later schema of the search_path has our tables: new ones would not belong to them."""
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
    """Return a runner. Raises Unusable if its table cannot be read or lists migrations of another system."""
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
