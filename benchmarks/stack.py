"""The ground everything stands on during a race: PostgreSQL, Redis and an SMTP sink on loopback."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg2
import redis
from psycopg2 import sql

from benchmarks.mailbox import MailboxClient
from benchmarks.processes import Part
from benchmarks.servers import RacePostgres, RaceValkey
from benchmarks.target import ROOT

KEPT = ("PATH", "HOME", "TMPDIR", "LANG")


class Stack:
    """Started on entering, gone on leaving; `folder` (a short path) keeps data and logs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres = RacePostgres(folder / "data", folder)
        self.valkey = RaceValkey(folder / "data", folder)
        self.ports = folder / "sink.json"
        sink = [sys.executable, "-m", "benchmarks.sink"]
        self.sink = Part(sink, os.environ, ROOT, self.ports, self._has_ports)
        self.undo = ExitStack()

    def __enter__(self) -> Stack:
        with ExitStack() as undo:
            for server in (self.postgres, self.valkey, self.sink):
                undo.callback(server.stop)
                server.start()
            role, secret = sql.Identifier(self.postgres.user), sql.Literal(self.postgres.password)
            self.execute("postgres", sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, secret))
            self.smtp_port, control = json.loads(self.ports.read_text()).values()
            self.mailbox = MailboxClient(control)
            undo.callback(self.mailbox.close)
            self.undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.undo.close()

    @property
    def pids(self) -> dict[str, int]:
        """The roots of its process trees."""
        return {"postgresql": self.postgres.pid, "redis": self.valkey.pid, "sink": self.sink.pid}

    def environment(self, database: str, port: int) -> Mapping[str, str]:
        """What a target is told, under the names most programs know; psql needs no arguments."""
        user, password, at = self.postgres.user, self.postgres.password, f"127.0.0.1:{self.postgres.port}"
        return {name: os.environ[name] for name in KEPT if name in os.environ} | {
            "PORT": str(port),
            "DATABASE_URL": f"postgresql://{user}:{password}@{at}/{database}",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.postgres.port),
            "PGUSER": user,
            "PGPASSWORD": password,
            "PGDATABASE": database,
            "REDIS_URL": f"redis://127.0.0.1:{self.valkey.port}/0",
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(self.valkey.port),
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(self.smtp_port),
        }

    def fresh(self, database: str) -> None:
        """An empty database and an empty Redis."""
        self._redis().flushall()
        name = sql.Identifier(database)
        self.execute("postgres", sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        self.execute("postgres", sql.SQL("CREATE DATABASE {}").format(name))

    def checkpoint(self) -> None:
        """Leave nothing to write of what was before."""
        self.execute("postgres", "CHECKPOINT")

    def execute(self, database: str, statement: str | sql.Composable) -> list[tuple[object, ...]]:
        """Run one statement outside any transaction; its rows, if it has any."""
        with closing(psycopg2.connect(self.postgres.url_of(database))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []

    def versions(self) -> str:
        """Server versions and the settings that durability hangs on, asked of the running servers."""
        names = ("server_version", "fsync", "synchronous_commit", "shared_buffers")
        version, fsync, commit, buffers = (self.execute("postgres", f"SHOW {n}")[0][0] for n in names)
        info = self._redis().info("server")
        server = next(key for key in ("valkey_version", "redis_version") if key in info)
        return (
            f"PostgreSQL {version} (fsync {fsync}, synchronous_commit {commit}, shared_buffers {buffers}), "
            f"{server.partition('_')[0].title()} {info[server]}"
        )

    def _redis(self) -> redis.Redis:
        return redis.Redis(port=self.valkey.port)

    def _has_ports(self) -> bool:
        return self.ports.read_text().endswith("\n")
