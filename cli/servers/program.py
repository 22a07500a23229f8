"""Child program: its start waits until it is ready, and it ends when this process dies."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from cli.servers import StartError, exec_with_parent_death, group

POLL = 0.02  # seconds
LOG_LIMIT = 4 * 1024 * 1024  # bytes; a larger log file is emptied at the next start
TAIL = 2_000  # bytes of the log in an error message


class StopRequests:
    """Requests to stop, which end a wait early. Here there are none; `cli.terminal.signals` has those of a terminal."""

    @property
    def hurried(self) -> bool:
        """True if the stop should be short."""
        return False

    def pause(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class Program:
    """Child program in its own session, so that Ctrl-C in the terminal reaches only this process.

    A subclass defines what to run (`command`), what to do before (`prepare`), and when it is up (`ready`).
    Start it from the main thread: the child gets `on_death` when the thread that started it ends (prctl(2)).
    """

    name = ""
    on_death = signal.SIGKILL  # sent by the kernel when this process dies
    stop_signal = signal.SIGTERM
    start_within = 60.0  # seconds
    grace = 30.0  # seconds from the stop signal to SIGKILL
    hurried_grace = 0.0  # seconds from the stop signal to SIGKILL after a second Ctrl-C
    identity = exec_with_parent_death.MYSELF

    def __init__(self, stop_requests: StopRequests | None = None, log: Path | None = None) -> None:
        self.stop_requests = stop_requests or StopRequests()
        self.log = log
        self._child: subprocess.Popen[bytes] | None = None
        self._asked_at: float | None = None

    def command(self) -> list[str]:
        """Return the absolute path of the program and its arguments."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """Return the environment of the program."""
        return os.environ

    def directory(self) -> Path | None:
        """Return the directory to run in; None is the current one."""
        return None

    def prepare(self) -> None:
        """Do what must be done before the program can run."""

    def ready(self) -> bool:
        """Return whether the program does its work."""
        return True

    @property
    def pid(self) -> int:
        """Process id of the running program."""
        if self._child is None:
            raise RuntimeError(f"{self.name} is not running")
        return self._child.pid

    @property
    def alive(self) -> bool:
        """True while the program runs."""
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Start the program and wait until it is ready; raises StartError."""
        self.reap()
        self.prepare()
        self._spawn()
        deadline = time.monotonic() + self.start_within
        while True:
            # Read before ready(): a program that ends right after it became ready has not failed.
            alive = self.alive
            if self.ready():
                return
            if not alive:
                raise StartError(f"{self.name} ended before it was ready ({self.reap()}){self.tail()}")
            if time.monotonic() > deadline:
                self.kill()
                raise StartError(f"{self.name} was not ready within {self.start_within:g} s{self.tail()}")
            self.stop_requests.pause(POLL)

    def ask(self) -> None:
        """Send the stop signal once, without waiting."""
        if self.alive and self._asked_at is None:
            self._asked_at = time.monotonic()
            self.signal(self.stop_signal)

    def stop(self) -> str:
        """Stop the program, or kill it and its group after the grace period; return how it ended."""
        self.ask()
        while self.alive and not self._overdue():
            self.stop_requests.pause(POLL)
        return self.reap()

    def kill(self) -> None:
        """Send SIGKILL to the program and its process group. The data must survive that."""
        self.signal(signal.SIGKILL)
        self.reap()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program itself."""
        if self._child is not None:
            self._child.send_signal(number)

    def reap(self) -> str:
        """Kill what is left of the process group, reap the program, and return how it ended."""
        child, self._child, self._asked_at = self._child, None, None
        if child is None:
            return "not running"
        if child.poll() is None:
            child.kill()
        code = child.wait()
        group.kill(child.pid)
        return f"exit code {code}" if code >= 0 else signal.Signals(-code).name

    def tail(self) -> str:
        """Return the end of the log as the end of a sentence."""
        if self.log is None:
            return ": see its log lines above"
        with self.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL))
            text = log.read().decode(errors="replace").strip()
        return f"; the end of {self.log}:\n{text}"

    def _spawn(self) -> None:
        words = exec_with_parent_death.prefix(self.identity, self.on_death) + self.command()
        output = self._open_log()
        try:
            self._child = subprocess.Popen(  # noqa: S603  # words of our own
                words,
                env=self.environment(),
                cwd=self.directory(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        finally:
            if output is not None:
                os.close(output)

    def _open_log(self) -> int | None:
        if self.log is None:
            return None
        grown = self.log.exists() and self.log.stat().st_size > LOG_LIMIT
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | (os.O_TRUNC if grown else 0)
        return os.open(self.log, flags, 0o600)

    def _overdue(self) -> bool:
        grace = self.hurried_grace if self.stop_requests.hurried else self.grace
        return self._asked_at is None or time.monotonic() - self._asked_at > grace
