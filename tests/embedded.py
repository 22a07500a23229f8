"""The real servers that one run of the tests shares, and databases made from a migrated template."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

from cli.servers.postgres import Postgres
from cli.servers.valkey import Valkey
from db import database
from db.migrations import migrate
from tests.environment import configured
from tests.sql import Sql

# What is committed must survive the death of the server, but not that of the machine.
CARELESS = {"fsync": "off", "full_page_writes": "off", "max_connections": "200"}
TEMPLATE = "template_migrated"
DISK, MEMORY = Path("/tmp"), Path("/dev/shm")
ROOM = 8 << 30  # bytes; the servers of six processes of tests take one


def fast_place() -> Path:
    """Return a directory in which new files cost little: one in memory, if it has room; otherwise one on the disk.

    A new database is a thousand files. Before ext4 makes one, it looks at each that was deleted in the last seconds.
    """
    roomy = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM
    return MEMORY if roomy else DISK


@contextmanager
def short_directory(parent: Path = DISK) -> Iterator[Path]:
    """A directory for sockets, whose paths may have 107 bytes only."""
    directory = Path(tempfile.mkdtemp(prefix="nt-", dir=parent))
    # Root's PostgreSQL runs as another user and has to pass through.
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


class Databases:
    """Makes and drops databases on one PostgreSQL; each is a copy of one that was migrated once."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        self._sql = Sql(postgres.url_of("postgres"))
        self._numbers = count(1)
        self._sql.rows(f"CREATE DATABASE {TEMPLATE}")
        with configured(database_url=postgres.url_of(TEMPLATE)) as settings:
            database.bind(settings.database)
            migrate()
            database.database.close()

    @contextmanager
    def new(self) -> Iterator[str]:
        """DATABASE_URL of a migrated, empty database that lives as long as the block."""
        name = f"test_{next(self._numbers)}"
        # Copying the files costs a third of PostgreSQL's default, which copies the pages through the WAL.
        self._sql.rows(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
        url = self._postgres.url_of(name)
        # Each copy is an installation of its own, or its clients would share the counters in Redis with other copies'.
        Sql(url).rows("UPDATE installation SET id = gen_random_uuid() RETURNING id")
        try:
            yield url
        finally:
            self._sql.rows(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def empty_database(server: Postgres, name: str) -> Iterator[str]:
    """DATABASE_URL of a database without tables that lives as long as the block."""
    with closing(Sql(server.url_of("postgres"))) as admin:
        admin.rows(f"CREATE DATABASE {name}")
        try:
            yield server.url_of(name)
        finally:
            admin.rows(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def postgres(directory: Path, settings: Mapping[str, str] = CARELESS) -> Iterator[Postgres]:
    """A PostgreSQL, running."""
    server = Postgres(directory, directory, settings=settings)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def valkey(directory: Path) -> Iterator[Valkey]:
    """A Redis-compatible server, running."""
    server = Valkey(directory, directory)
    server.start()
    try:
        yield server
    finally:
        server.kill()
