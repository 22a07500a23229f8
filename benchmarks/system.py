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
from benchmarks.stack import Ground, Stack
from benchmarks.target import WORKERS, Target, command
from benchmarks.waits import Waits


class System:
    """One target on the common ground. Each part is one process tree."""

    def __init__(self, target: Target, stack: Ground, database: str) -> None:
        self.target, self.stack, self.database = target, stack, database
        self.name = target.name
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.environ = target.environment(stack.environment(database, port))
        self.log = stack.folder / f"{database}.log"
        self.parts: dict[str, Part] = {}

    @property
    def batch_url(self) -> str:
        """Where it takes many at once."""
        return self.url + self.target.batch

    @property
    def mailbox(self) -> MailboxClient:
        """Where its mail arrives."""
        return self.stack.mailbox

    @contextmanager
    def prepared(self, template: str = "") -> Iterator[None]:
        """From an empty database to a migrated one; or a copy of a database that was."""
        self.stack.fresh(self.database, template)
        if not template:
            self._run(self.target.prepare)
        self.stack.checkpoint()
        yield

    def after_fill(self) -> None:
        """What the target wants done once a backlog stands; then nothing of the load is left to write."""
        self._run(self.target.after_fill)
        self.stack.checkpoint()

    @contextmanager
    def told(self, **environ: str) -> Iterator[None]:
        """What is started within the block sees these variables too."""
        before, self.environ = self.environ, self.environ | environ
        try:
            yield
        finally:
            self.environ = before

    @contextmanager
    def api(self) -> Iterator[None]:
        """Its API, from the first answer on."""
        with self._part("api", self.target.api, self._answers):
            yield

    @contextmanager
    def workers(self, processes: int = WORKERS) -> Iterator[None]:
        """Its workers, from the moment of their start on."""
        with self._part("workers", self.target.workers, lambda: True, WORKERS=str(processes)):
            yield

    def cpu(self) -> dict[str, float]:
        """CPU seconds so far, by part; the stack's parts as well.

        Beside them `load`, the benchmark itself with its generator; `busy`, everybody; `others`, who is no part of it.
        """
        pids = self.stack.pids | {name: part.pid for name, part in self.parts.items()}
        spent = {name: cpu_seconds(pid) for name, pid in pids.items()}
        busy, whole = busy_seconds(), cpu_seconds(os.getpid())
        return spent | {"load": whole - sum(spent.values()), "busy": busy, "others": busy - whole}

    def waits(self) -> Waits:
        """A watch on what its database sessions wait for."""
        return Waits(self.stack.url_of(self.database), self.stack.name_of(self.database))

    def memory(self) -> dict[str, list[float]]:
        """PSS in MB of each process of its own parts, the one that was started first."""
        return {name: memory_mb(part.pid) for name, part in self.parts.items()}

    def keep_as(self, name: str) -> None:
        """Rename its database, which nobody uses now: the next part begins with a new one."""
        self.own_servers.rename(self.database, name)

    @property
    def own_servers(self) -> Stack:
        """The servers, for what may make databases there."""
        if not isinstance(self.stack, Stack):
            raise TypeError("this part wants servers of its own")
        return self.stack

    @contextmanager
    def _part(self, name: str, words: str, is_ready: Callable[[], bool], **more: str) -> Iterator[None]:
        environ = self.environ | more
        part = Part(command(words, environ), environ, self.target.folder, self.log, is_ready)
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
