"""A running target: its database, API and workers, which the scenarios start and stop."""

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
    """Target on the servers of the race. Each of its parts is one process tree."""

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
        """URL for batches."""
        return self.url + self.target.batch

    @property
    def mailbox(self) -> MailboxClient:
        """Client of the sink that receives its mails."""
        return self.stack.mailbox

    @contextmanager
    def prepared(self, template: str = "") -> Iterator[None]:
        """Prepare an empty, migrated database, or a copy of the database `template`."""
        self.stack.fresh(self.database, template)
        if not template:
            self._run(self.target.prepare)
        self.stack.checkpoint()
        yield

    def after_fill(self) -> None:
        """Run the target's command for after a backlog is posted, then write all pending data."""
        self._run(self.target.after_fill)
        self.stack.checkpoint()

    @contextmanager
    def told(self, **environ: str) -> Iterator[None]:
        """Add environment variables for the processes that are started in the block."""
        before, self.environ = self.environ, self.environ | environ
        try:
            yield
        finally:
            self.environ = before

    @contextmanager
    def api(self) -> Iterator[None]:
        """Run the API. The block begins with its first answer."""
        with self._part("api", self.target.api, self._answers):
            yield

    @contextmanager
    def workers(self, processes: int = WORKERS) -> Iterator[None]:
        """Run the workers. The block begins with their start."""
        with self._part("workers", self.target.workers, lambda: True, WORKERS=str(processes)):
            yield

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds used so far, by part, including the servers.

        Further keys: `load` (this benchmark with its generator), `busy` (all programs), `others` (all other programs).
        """
        pids = self.stack.pids | {name: part.pid for name, part in self.parts.items()}
        spent = {name: cpu_seconds(pid) for name, pid in pids.items()}
        busy, whole = busy_seconds(), cpu_seconds(os.getpid())
        return spent | {"load": whole - sum(spent.values()), "busy": busy, "others": busy - whole}

    def waits(self) -> Waits:
        """Return a sampler of the wait events of the database sessions."""
        return Waits(self.stack.url_of(self.database), self.stack.name_of(self.database))

    def memory(self) -> dict[str, list[float]]:
        """Return the PSS in MB of each process of the target's parts, the master first."""
        return {name: memory_mb(part.pid) for name, part in self.parts.items()}

    def keep_as(self, name: str) -> None:
        """Keep the database under another name. The next part begins with a new one."""
        self.own_servers.rename(self.database, name)

    @property
    def own_servers(self) -> Stack:
        """Our own servers. Raises TypeError if the race uses existing ones."""
        if not isinstance(self.stack, Stack):
            raise TypeError("this part needs its own servers")
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
