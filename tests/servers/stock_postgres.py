"""PostgreSQL as the distribution ships it: default settings, JIT on, a password for an ordinary role."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg2

from cli.servers import exec_with_parent_death
from tests.eventually import eventually
from tests.processes import Group
from tests.servers.programs import postgresql, unprivileged
from tests.sql import Sql
from tests.system import free_port

ROLE, PASSWORD = "notify", "Pa%ss@word"
QUOTED = "Pa%25ss%40word"  # the same in a URL


class StockPostgres:
    """A cluster in `directory` that listens on loopback and lets its superuser in over its socket.

    `settings` go to postgresql.conf, beside those that say where it listens; `initdb` are more options
    of initdb, e.g. "--locale=C.UTF-8".
    """

    def __init__(
        self, directory: Path, *, settings: Mapping[str, str] | None = None, initdb: tuple[str, ...] = ()
    ) -> None:
        self.port = free_port()
        self.directory = directory
        self.data = directory / "postgres"
        self._user = unprivileged("postgres")
        self._numbers = count(1)
        self._group: Group | None = None
        self._make(initdb, settings or {})

    def start(self) -> None:
        """Run it, and return when it lets its superuser in."""
        command = [postgresql("postgres"), "-D", str(self.data)]
        self._group = Group(
            command, {"PATH": os.environ["PATH"]}, self.directory / "postgres.log", self.directory, self._user
        )
        eventually(self._answers, within=30, saying=self._group.log.read_text)

    @property
    def pid(self) -> int:
        """The process id of its first process."""
        assert self._group is not None
        return self._group.pid

    def kill(self) -> None:
        """SIGKILL all of it; what it has committed stays."""
        if self._group:
            self._group.kill()
            self._group = None

    @property
    def log(self) -> str:
        """The text of its log."""
        return (self.directory / "postgres.log").read_text(errors="replace")

    def url_of(self, database: str, role: str = ROLE, password: str = QUOTED) -> str:
        """DATABASE_URL of one of its databases, over TCP with a password."""
        return f"postgresql://{role}:{password}@127.0.0.1:{self.port}/{database}"

    def superuser_url(self, database: str) -> str:
        """URL of one of its databases for its superuser, over its socket."""
        return f"postgresql://postgres@/{database}?host={self.data}&port={self.port}"

    def run(self, statement: str, *parameters: object, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement as the superuser, outside of a transaction, and return its rows."""
        with closing(Sql(self.superuser_url(database))) as sql:
            return sql.rows(statement, *parameters)

    @contextmanager
    def empty(self, encoding: str = "UTF8", options: str = "LOCALE 'C'") -> Iterator[str]:
        """DATABASE_URL of a new database that the ordinary role `notify` owns and nobody has migrated."""
        with self._new(f"TEMPLATE template0 ENCODING '{encoding}' {options}") as name:
            yield self.url_of(name)

    @contextmanager
    def copy(self, template: str) -> Iterator[str]:
        """DATABASE_URL of a copy of a database, which nobody may use meanwhile: an installation of its own."""
        with self._new(f"TEMPLATE {template}") as name:
            self.run("UPDATE installation SET id = gen_random_uuid()", database=name)
            yield self.url_of(name)

    @contextmanager
    def _new(self, how: str) -> Iterator[str]:
        name = f"stock_{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} OWNER {ROLE} {how}")
        try:
            yield name
        finally:
            self.run(f"DROP DATABASE {name} WITH (FORCE)")

    def _make(self, initdb: tuple[str, ...], settings: Mapping[str, str]) -> None:
        self.data.mkdir(mode=0o700)
        prefix = []
        if self._user:
            shutil.chown(self.data, *map(int, self._user.split(":")))
            prefix = exec_with_parent_death.prefix(self._user, signal.SIGTERM)
        command = [postgresql("initdb"), "-D", str(self.data), "-U", "postgres", "-E", "UTF8"]
        # As Debian's packages do it: who comes over the socket is believed, over TCP a password is asked for.
        command += ["--auth-local=trust", "--auth-host=scram-sha-256", "--no-instructions", "--no-sync", *initdb]
        done = subprocess.run([*prefix, *command], cwd=self.directory, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        where = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.data),
        }
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in {**where, **settings}.items())

    def _answers(self) -> bool:
        try:
            if not self.run("SELECT FROM pg_roles WHERE rolname = %s", ROLE):
                self.run(f"CREATE ROLE {ROLE} LOGIN PASSWORD %s", PASSWORD)
        except psycopg2.OperationalError:
            return False
        return True
