"""The real system: gunicorn, groups of dramatiq workers, on servers that a test gives it."""

from __future__ import annotations

import os
import random
import socket
from pathlib import Path
from typing import Any

from tests.client import Client
from tests.eventually import eventually
from tests.processes import ROOT, Group
from tests.queries import Queries

# From the caller only what a program needs to run at all: none of its settings may leak in.
INHERITED = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "TMPDIR")
# Much shorter than in production, so that crashes and retries take seconds.
QUICK = {
    "MAIL_FROM": "noreply@sender.example",
    "RETRY_MIN_BACKOFF": "0.3",
    "RETRY_MAX_BACKOFF": "3",
    "WORKER_TIMEOUT": "3",
    "UPKEEP_INTERVAL": "0.5",
    "RELAY_GRACE": "1",
    "REDIS_TIMEOUT": "2",
    # After LIMITS_TIMEOUT clients are let in uncounted: on a busy machine 0.2 s pass while Redis is there.
    "LIMITS_TIMEOUT": "10",
    "PROBE_WAIT": "0.5",
    "PROBE_WAIT_MAX": "2",
    "SMTP_TIMEOUT": "60",  # longer than a test with a mail server that hangs takes on a busy machine
    "LOG_FORMAT": "json",
    # As that of the tests' own process, which knows it without a database.
    "REDIS_NAMESPACE": "dramatiq",
    # Tests of keys ask for them.
    "AUTH": "off",
}


PORT_RANGES, PORTS = 8, 2_000


class System:
    """gunicorn and workers that share one environment. Logs go to `directory`, one file per group.

    `settings` are environment variables by their names in lower case.
    """

    def __init__(
        self, directory: Path, *, database_url: str, redis_url: str, smtp_url: str, **settings: object
    ) -> None:
        self.directory = directory
        self.root = ROOT  # where the code is that it runs
        self.port = free_port()
        self.environ = {name: os.environ[name] for name in INHERITED if name in os.environ} | QUICK
        self.environ |= {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "SMTP_URL": smtp_url}
        self.environ |= {"BIND": f"127.0.0.1:{self.port}"}
        self.environ |= {name.upper(): str(value) for name, value in settings.items()}
        self.sql = Queries(database_url)
        self.api: Group | None = None
        self.workers: list[Group] = []

    @property
    def client(self) -> Client:
        """A new client of the API."""
        return Client(self.port)

    def start_api(self, processes: int = 1, **settings: object) -> Group:
        """Start gunicorn and wait until it is ready."""
        self.api = self._start("api", ["gunicorn"], {"web_concurrency": processes, **settings})
        eventually(self._is_ready, within=20, saying=self.logs)
        return self.api

    def start_workers(self, processes: int = 1, **options: Any) -> Group:
        """Start one more `dramatiq` group and wait until all its processes are at work; else as `spawn_workers`."""
        group = self.spawn_workers(processes, **options)
        eventually(lambda: self._at_work(group) >= processes, within=20, saying=self.logs)
        return group

    def spawn_workers(self, processes: int = 1, threads: int = 4, module: str = "actors", **settings: object) -> Group:
        """Start one more `dramatiq` group, which may die at once.

        `module` is what Dramatiq imports: `actors`, or a test's own that imports it and breaks something.
        """
        command = ["dramatiq", module, "-p", str(processes), "-t", str(threads)]
        group = self._start(f"workers-{len(self.workers) + 1}", command, settings)
        self.workers.append(group)
        return group

    def only_workers(self, groups: int) -> None:
        """Have just so many live groups, replacing those that were killed."""
        self.workers = [group for group in self.workers if group.running]
        while len(self.workers) > groups:
            self.workers.pop().stop()
        while len(self.workers) < groups:
            self.start_workers()

    def stop(self) -> None:
        """Stop everything in order, all at the same time."""
        groups = [*self.workers, *([self.api] if self.api else [])]
        for group in groups:
            group.ask()
        for group in groups:
            group.stop()

    def logs(self) -> str:
        """The end of every log, for the message of a failed test."""
        ends = ((log.name, log.read_text(errors="replace")[-4_000:]) for log in self.directory.glob("*.log"))
        return "\n".join(f"\n==== {name} ====\n{end}" for name, end in sorted(ends))

    def _start(self, name: str, command: list[str], settings: dict[str, object]) -> Group:
        environ = self.environ | {key.upper(): str(value) for key, value in settings.items()}
        return Group(command, environ, self.directory / f"{name}.log", self.root)

    def _is_ready(self) -> bool:
        try:
            return self.client.get("/readyz").status == 200
        except ConnectionError:
            assert self.api is not None
            assert self.api.running, f"gunicorn has ended: {self.logs()}"
            return False

    def _at_work(self, group: Group) -> int:
        assert group.running, f"dramatiq has ended: {self.logs()}"
        return sum(group.has(pid) for pid in self.sql.worker_pids())


def free_port() -> int:
    """A port below the ephemeral range, so that no outgoing connection takes it before the server does.

    Each process of pytest-xdist has a range of its own: between this look and the server's own no other takes it.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % PORT_RANGES
    while True:
        port = 15_000 + worker * PORTS + random.randrange(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
