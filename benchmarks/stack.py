"""Servers of a race: PostgreSQL, Redis and an SMTP sink on the loopback interface."""

from __future__ import annotations

import json
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Self

import psycopg2
import redis
from psycopg2 import sql

from benchmarks.mailbox import MailboxClient
from benchmarks.processes import Part
from benchmarks.servers import RacePostgres, RaceValkey
from benchmarks.stock import StockRacePostgres, StockRaceRedis
from benchmarks.target import ROOT, WORKERS

KEPT = ("PATH", "HOME", "TMPDIR", "LANG")


class Ground(ABC):
    """Context manager for the servers and a mail sink. `folder`: a short path, for the logs."""

    home = ""  # the database for questions about the whole server

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = folder / "sink.json"
        sink = [sys.executable, "-m", "benchmarks.sink"]
        self.sink = Part(sink, os.environ, ROOT, self.ports, self._has_ports)
        self.undo = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.callback(self.stop)
            self.start()
            self.smtp_port, control = json.loads(self.ports.read_text()).values()
            self.mailbox = MailboxClient(control)
            undo.callback(self.mailbox.close)
            self.undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.undo.close()

    def start(self) -> None:
        """Start our own servers."""
        self.sink.start()

    def stop(self) -> None:
        """Stop our own servers."""
        self.sink.stop()

    @property
    @abstractmethod
    def pids(self) -> dict[str, int]:
        """Roots of the process trees, by part."""

    @abstractmethod
    def environment(self, database: str, port: int) -> Mapping[str, str]:
        """Return the environment of a target."""

    @abstractmethod
    def fresh(self, database: str, template: str = "") -> None:
        """Create an empty database, or a copy of another one, and empty Redis."""

    @abstractmethod
    def checkpoint(self) -> None:
        """Write all pending data, so that no earlier work disturbs the measurement."""

    @abstractmethod
    def url_of(self, database: str) -> str:
        """Return the URL of a database for psycopg2."""

    @abstractmethod
    def name_of(self, database: str) -> str:
        """Return the name of a database on the server."""

    @property
    @abstractmethod
    def redis_url(self) -> str:
        """URL of Redis for the systems."""

    @abstractmethod
    def redis(self) -> redis.Redis:
        """Return a client."""

    def wal_bytes(self) -> float:
        """Return the position in the write-ahead log of all databases, in bytes."""
        [(position,)] = self.execute(self.home, "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
        return float(str(position))

    def transactions(self, database: str) -> float:
        """Return the committed transactions of a database. Exact after its sessions have ended."""
        count = sql.SQL("SELECT xact_commit FROM pg_stat_database WHERE datname = {}").format(
            sql.Literal(self.name_of(database))
        )
        return float(str(self.execute(self.home, count)[0][0]))

    def execute(self, database: str, statement: str | sql.Composable) -> list[tuple[object, ...]]:
        """Run one statement outside a transaction, and return its rows."""
        with closing(psycopg2.connect(self.url_of(database))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []

    def versions(self) -> str:
        """Return the versions of the running servers and their settings for durability."""
        names = ("server_version", "fsync", "synchronous_commit", "shared_buffers")
        version, fsync, commit, buffers = (self.execute(self.home, f"SHOW {n}")[0][0] for n in names)
        info = self.redis().info("server")
        server = next(key for key in ("valkey_version", "redis_version") if key in info)
        return (
            f"PostgreSQL {version} (fsync {fsync}, synchronous_commit {commit}, shared_buffers {buffers}), "
            f"{server.partition('_')[0].title()} {info[server]}"
        )

    def _has_ports(self) -> bool:
        return self.ports.read_text().endswith("\n")


class Stack(Ground):
    """Our own servers, started on entering and removed on leaving. `folder`: for their data, too.

    `stock`: use the distribution's servers with their default settings instead of the embedded ones.
    """

    home = "postgres"

    def __init__(self, folder: Path, *, stock: bool = False) -> None:
        super().__init__(folder)
        self.postgres: RacePostgres | StockRacePostgres
        self.redis_server: RaceValkey | StockRaceRedis
        if stock:
            self.postgres, self.redis_server = StockRacePostgres(folder), StockRaceRedis(folder)
        else:
            self.postgres = RacePostgres(folder / "data", folder)
            self.redis_server = RaceValkey(folder / "data", folder)

    def start(self) -> None:
        """Start the servers, then the sink."""
        self.postgres.start()
        self.redis_server.start()
        super().start()
        role, secret = sql.Identifier(self.postgres.user), sql.Literal(self.postgres.password)
        self.execute("postgres", sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, secret))

    def stop(self) -> None:
        """Stop the servers in reverse order."""
        super().stop()
        self.redis_server.stop()
        self.postgres.stop()

    def url_of(self, database: str) -> str:
        """Return the URL over the server's socket."""
        return self.postgres.url_of(database)

    def name_of(self, database: str) -> str:
        """Return the same name."""
        return database

    @property
    def pids(self) -> dict[str, int]:
        """Roots of the process trees, by part."""
        return {"postgresql": self.postgres.pid, "redis": self.redis_server.pid, "sink": self.sink.pid}

    def environment(self, database: str, port: int) -> Mapping[str, str]:
        """Return the environment of a target, with the usual names of variables; psql needs no arguments."""
        user, password, at = self.postgres.user, self.postgres.password, f"127.0.0.1:{self.postgres.port}"
        return {name: os.environ[name] for name in KEPT if name in os.environ} | {
            "PORT": str(port),
            "WORKERS": str(WORKERS),
            "DATABASE_URL": f"postgresql://{user}:{password}@{at}/{database}",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.postgres.port),
            "PGUSER": user,
            "PGPASSWORD": password,
            "PGDATABASE": database,
            "REDIS_URL": self.redis_url,
            "REDIS_NAMESPACE": "dramatiq",  # where tests.wake_ups listens
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(self.redis_server.port),
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(self.smtp_port),
        }

    def fresh(self, database: str, template: str = "") -> None:
        """Create an empty database, or a copy of another one, and empty Redis."""
        self.redis().flushall()
        name = sql.Identifier(database)
        self.execute("postgres", sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        create = sql.SQL("CREATE DATABASE {} OWNER {}").format(name, sql.Identifier(self.postgres.user))
        if template:
            # Copy the files: through the WAL, a large database would take minutes. Needs PostgreSQL 15 or newer.
            create += sql.SQL(" TEMPLATE {} STRATEGY file_copy").format(sql.Identifier(template))
        self.execute("postgres", create)

    def rename(self, database: str, name: str) -> None:
        """Keep a database under another name."""
        self.execute(
            "postgres", sql.SQL("ALTER DATABASE {} RENAME TO {}").format(*map(sql.Identifier, (database, name)))
        )

    def has(self, database: str) -> bool:
        """Return whether the database exists."""
        known = sql.SQL("SELECT true FROM pg_database WHERE datname = {}").format(sql.Literal(database))
        return bool(self.execute("postgres", known))

    def checkpoint(self) -> None:
        """Write all pending data."""
        self.execute("postgres", "CHECKPOINT")

    @property
    def redis_url(self) -> str:
        """URL over TCP, as the systems get it."""
        return f"redis://127.0.0.1:{self.redis_server.port}/0"

    def redis(self) -> redis.Redis:
        """Return a client."""
        return redis.Redis(port=self.redis_server.port)
