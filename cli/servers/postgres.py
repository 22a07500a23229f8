"""PostgreSQL of `notify up`: a Unix socket in a private directory, no TCP port, settings for a small laptop."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg2
from psycopg2 import sql

from cli.servers import StartError, exec_with_parent_death, identity, leftover, locate
from cli.servers.program import Program, StopRequests

DATABASE = "notifications"
USER = "postgres"
PORT = "5432"
SOCKETS = "pg"
AFTERMATH = 20.0  # seconds for which the backends of a killed postmaster may keep its shared memory
SMALL = {
    "shared_buffers": "64MB",
    "max_connections": "50",
    "max_wal_size": "256MB",
    "jit": "off",
    # There are no replicas and no archive, so that WAL is needed only for crash recovery.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "max_worker_processes": "2",
    "max_parallel_workers_per_gather": "0",
    "log_checkpoints": "off",
    # Failed statements contain messages and addresses.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# Backends read by themselves, without three extra I/O processes.
SINCE_18 = {"io_method": "sync"}


def url_of_another(runtime_dir: Path) -> str | None:
    """Return the value of DATABASE_URL for the server whose sockets are in `runtime_dir`; None if none listens."""
    sockets = runtime_dir / SOCKETS
    return _url(sockets, DATABASE) if (sockets / f".s.PGSQL.{PORT}").exists() else None


def _url(sockets: Path, database: str) -> str:
    # The port is explicit because libpq would take PGPORT otherwise.
    return f"postgresql:///{quote(database)}?host={quote(str(sockets))}&port={PORT}&user={USER}"


class Postgres(Program):
    """Keeps its data in `data_dir`/postgres-MAJOR and listens in `runtime_dir`, short and private."""

    name = "postgres"
    on_death = signal.SIGINT
    stop_signal = signal.SIGINT  # fast shutdown: it rolls back and leaves, without waiting for its clients
    grace = 30.0
    hurried_grace = 5.0

    def __init__(  # noqa: PLR0913  # the last four are options of tests and supervisor
        self,
        data_dir: Path,
        runtime_dir: Path,
        *,
        settings: Mapping[str, str] | None = None,
        database: str = DATABASE,
        stop_requests: StopRequests | None = None,
        log: Path | None = None,
    ) -> None:
        super().__init__(stop_requests, log or runtime_dir / "postgres.log")
        self.database = database
        self._binary = locate.postgres()
        self._major = locate.major(self._binary)
        self._root = data_dir.absolute()
        self._data = self._root / f"postgres-{self._major}"
        self._pidfile = self._data / "postmaster.pid"
        self._runtime = runtime_dir.absolute()
        self._sockets = self._runtime / SOCKETS
        self._settings = {**SMALL, **(SINCE_18 if self._major >= 18 else {}), **(settings or {})}

    @property
    def url(self) -> str:
        """Value for DATABASE_URL."""
        return self.url_of(self.database)

    def url_of(self, database: str) -> str:
        """Return the URL of another database of this server."""
        return _url(self._sockets, database)

    def start(self) -> None:
        """Start the server, wait until it is ready, and create its database.

        After a kill the start fails while old backends end, so that it is repeated for up to AFTERMATH seconds.
        """
        unclean = self._pidfile.exists()
        deadline = time.monotonic() + AFTERMATH
        while True:
            try:
                super().start()
                break
            except StartError:
                if not unclean or time.monotonic() > deadline:
                    raise
                self.stop_requests.pause(0.2)
        self._create_database()

    def prepare(self) -> None:
        """Create the cluster if there is none, or clear the leftovers of a killed server."""
        places = (identity.enterable(self._root), identity.enterable(self._runtime))
        who = identity.choose(self._binary, self._data, places)
        self.identity = who.word
        if self._data.exists():
            self._check_version()
            leftover.clear(self._pidfile, self._data, self.stop_requests)
        else:
            self._initialise(who)
        shutil.rmtree(self._sockets, ignore_errors=True)
        who.own(self._sockets)

    def command(self) -> list[str]:
        """Return the command with every setting, so that no configuration file can be out of date."""
        places = {"listen_addresses": "", "unix_socket_directories": str(self._sockets), "port": PORT}
        settings = {**places, "unix_socket_permissions": "0700", **self._settings}
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [str(self._binary), "-D", str(self._data), *words]

    def environment(self) -> Mapping[str, str]:
        """Return the environment without variables that change how PostgreSQL works."""
        steering = ("PG", "LC_", "LANG")
        return {name: value for name, value in os.environ.items() if not name.startswith(steering)}

    def directory(self) -> Path:
        """Return a directory that its user may enter, unlike perhaps the current one."""
        return Path("/")

    def ready(self) -> bool:
        """Return whether postmaster.pid has our child on line 1 and `ready` on line 8 (PostgreSQL, miscadmin.h)."""
        try:
            lines = self._pidfile.read_text(errors="replace").splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def _check_version(self) -> None:
        version = (self._data / "PG_VERSION").read_text().strip()
        if version != str(self._major):
            raise StartError(f"{self._data} holds data of PostgreSQL {version}: move this directory away")

    def _initialise(self, who: identity.Identity) -> None:
        """Create the cluster in a temporary directory first, so that an interrupted start leaves no partial one."""
        if others := sorted(self._root.glob("postgres-*[0-9]")):
            raise StartError(
                f"PostgreSQL here has version {self._major}, but the data in {others[-1]} are of another: "
                "run that version and set DATABASE_URL, or move the directory away to start without data"
            )
        fresh = self._data.with_name(self._data.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        who.own(fresh)
        self._initdb(fresh)
        fresh.rename(self._data)
        _sync(self._root)

    def _initdb(self, fresh: Path) -> None:
        options = ["-A", "trust", "-E", "UTF8", "--locale=C", "--no-instructions", "-U", USER]
        if self._settings.get("fsync") == "off":
            options.append("--no-sync")
        done = subprocess.run(  # noqa: S603  # words of our own
            [
                *exec_with_parent_death.prefix(self.identity, signal.SIGKILL),
                *(str(self._binary.with_name("initdb")), "-D", str(fresh), *options),
            ],
            env=self.environment(),
            cwd=self.directory(),
            capture_output=True,
            text=True,
            start_new_session=True,
            check=False,
        )
        if done.returncode != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            raise StartError(f"PostgreSQL could not create its data directory: {done.stderr.strip()}")

    def _create_database(self) -> None:
        try:
            # All parameters are explicit, because libpq takes missing ones from PG* variables.
            connect = psycopg2.connect(self.url_of("postgres"), sslmode="disable", options="", connect_timeout=10)
            with closing(connect) as connection:
                connection.autocommit = True
                _ensure(connection.cursor(), self.database)
        except psycopg2.Error as error:
            raise StartError(f"The database {self.database} cannot be created ({error}){self.tail()}") from error


def _ensure(cursor: Any, database: str) -> None:
    cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
    if cursor.fetchone() is None:
        cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
