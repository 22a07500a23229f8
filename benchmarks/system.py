"""A target that runs: its database, its API and its workers, started and stopped as a scenario wants."""

from __future__ import annotations

import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.mailbox import MailboxClient
from benchmarks.processes import Part, busy_seconds, cpu_seconds, memory_mb
from benchmarks.servers import free_port
from benchmarks.stack import Stack
from benchmarks.target import Target, command


class System:
    """One target on the common ground. Each part is one process tree."""

    def __init__(self, target: Target, stack: Stack, database: str) -> None:
        self.target, self.stack, self.database = target, stack, database
        self.name = target.name
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.environ = target.environment(stack.environment(database, port))
        self.log = stack.folder / f"{database}.log"
        self.parts: dict[str, Part] = {}

    @property
    def mailbox(self) -> MailboxClient:
        """Where its mail arrives."""
        return self.stack.mailbox

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """From an empty database to a migrated one."""
        self.stack.fresh(self.database)
        self._run(self.target.prepare)
        self.stack.checkpoint()
        yield

    def after_fill(self) -> None:
        """What the target wants done once a backlog stands; then nothing of the load is left to write."""
        self._run(self.target.after_fill)
        self.stack.checkpoint()

    @contextmanager
    def api(self) -> Iterator[None]:
        """Its API, from the first answer on."""
        with self._part("api", self.target.api, self._answers):
            yield

    @contextmanager
    def workers(self) -> Iterator[None]:
        """Its workers, from the moment of their start on."""
        with self._part("workers", self.target.workers, lambda: True):
            yield

    def cpu(self) -> dict[str, float]:
        """CPU seconds so far, by part; the stack's parts as well, and who is no part of the benchmark."""
        pids = self.stack.pids | {name: part.pid for name, part in self.parts.items()}
        spent = {name: cpu_seconds(pid) for name, pid in pids.items()}
        return spent | {"others": busy_seconds() - cpu_seconds(os.getpid())}

    def memory(self) -> dict[str, float]:
        """PSS in MB of its own parts, and how many processes share it."""
        found = {}
        for name, part in self.parts.items():
            found[name], found[f"{name} processes"] = memory_mb(part.pid)
        return found

    @contextmanager
    def _part(self, name: str, words: str, is_ready: Callable[[], bool]) -> Iterator[None]:
        part = Part(command(words, self.environ), self.environ, self.target.folder, self.log, is_ready)
        part.start()
        self.parts[name] = part
        try:
            yield
        finally:
            del self.parts[name]
            part.stop()

    def _run(self, words: str) -> None:
        if not words:
            return
        with self.log.open("ab") as log:
            subprocess.run(
                command(words, self.environ), env=self.environ, cwd=self.target.folder,
                stdout=log, stderr=log, check=True, timeout=120,
            )  # fmt: skip

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + self.target.ready, timeout=5) as answer:
                return bool(answer.status)
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
