"""Faults of a PostgreSQL that runs, and of a recipient."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from uuid import uuid4

import psycopg2

from cli.servers.postgres import Postgres
from tests.eventually import eventually
from tests.system import System

POISON = "poison@recipient.example"  # kills the workers of tests.acceptance.poisoned
HANG_UP = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'notification-system%'"


@contextmanager
def read_only(postgres: Postgres, system: System) -> Iterator[None]:
    """Make the database read-only, as on a standby, or as an operator can."""
    [(database,)] = system.sql.rows("SELECT current_database()")
    with closing(psycopg2.connect(postgres.url_of("postgres"))) as admin:
        admin.autocommit = True
        run = admin.cursor().execute
        run(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
        try:
            run(HANG_UP)
            yield
        finally:
            run(f"ALTER DATABASE {database} RESET default_transaction_read_only")


@contextmanager
def too_many_connections(postgres: Postgres, system: System) -> Iterator[None]:
    """Others hold every connection that the server gives."""
    with ExitStack() as taken, closing(psycopg2.connect(postgres.url_of("postgres"))) as admin:
        admin.autocommit = True

        def take_what_is_free() -> None:
            with suppress(psycopg2.OperationalError):
                while True:
                    taken.enter_context(closing(psycopg2.connect(postgres.url_of("postgres"))))

        def none_is_left() -> bool:
            """Take what is free and what the system has, at once, before it connects again."""
            take_what_is_free()
            admin.cursor().execute(HANG_UP)
            take_what_is_free()
            # Several, because each process of the API has a connection of its own.
            return all(system.client.notify(f"{uuid4()}@recipient.example").status == 503 for _ in range(8))

        eventually(none_is_left, within=60)
        yield


@contextmanager
def disk_full(system: System) -> Iterator[None]:
    """Raise the error of a full disk at each write of a notification.

    A disk that is really full would disturb other programs.
    """
    run = system.sql.rows
    run(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE disk_full USING MESSAGE = 'could not extend file: No space left on device'; END $$;"
        "CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON notifications EXECUTE FUNCTION full_disk();"
        "SELECT 1"
    )
    try:
        yield
    finally:
        run("DROP FUNCTION full_disk CASCADE; SELECT 1")
