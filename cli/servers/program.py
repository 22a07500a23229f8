"""A child program: started until it is ready, stopped in order, gone when we are."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from cli.servers import StartError, exec_with_parent_death, group

POLL = 0.02
LOG_LIMIT = 4 * 1024 * 1024
TAIL = 2_000


class Patience:
    """How a start or a stop waits. The supervisor's own also listens to Ctrl-C: see `cli.terminal.signals`."""

    @property
    def hurried(self) -> bool:
        """Whether somebody wants the stop to be short."""
        return False

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)


class Program:
    """A child in a session of its own, so that a terminal's Ctrl-C reaches only us.

    A subclass says what to run (`command`), what comes first (`prepare`) and when it is up (`ready`).
    Start it from the main thread: the kernel ties the leash to the thread that spawned (prctl(2)).
    """

    name = ""
    on_death = signal.SIGKILL  # what the kernel sends it when we are gone
    stop_signal = signal.SIGTERM
    start_within = 60.0  # seconds
    grace = 30.0  # seconds from the stop signal to SIGKILL
    hurried_grace = 0.0  # the same, once somebody is in a hurry
    identity = exec_with_parent_death.MYSELF

    def __init__(self, patience: Patience | None = None, log: Path | None = None) -> None:
        self.patience = patience or Patience()
        self.log = log
        self._child: subprocess.Popen[bytes] | None = None
        self._asked_at: float | None = None

    def command(self) -> list[str]:
        """The program's absolute path and its arguments."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """The program's environment."""
        return os.environ

    def directory(self) -> Path | None:
        """Where the program runs; None is here."""
        return None

    def prepare(self) -> None:
        """Do what must be done before the program can run."""

    def ready(self) -> bool:
        """Whether the program does its work now."""
        return True

    @property
    def pid(self) -> int:
        """The running program's process id."""
        if self._child is None:
            raise RuntimeError(f"{self.name} is not running")
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether the program runs."""
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Run it and return when it is ready; StartError says why it is not."""
        self.bury()
        self.prepare()
        self._spawn()
        deadline = time.monotonic() + self.start_within
        while True:
            # Asked first: a program that ended after it had become ready has not failed.
            alive = self.alive
            if self.ready():
                return
            if not alive:
                raise StartError(f"{self.name} ended before it was ready ({self.bury()}){self.tail()}")
            if time.monotonic() > deadline:
                self.kill()
                raise StartError(f"{self.name} was not ready within {self.start_within:g} s{self.tail()}")
            self.patience.pause(POLL)

    def ask(self) -> None:
        """Send the stop signal, once, and do not wait."""
        if self.alive and self._asked_at is None:
            self._asked_at = time.monotonic()
            self.signal(self.stop_signal)

    def stop(self) -> str:
        """Ask it to end and wait; after the grace, kill it and all that it started. Says how it ended."""
        self.ask()
        while self.alive and not self._overdue():
            self.patience.pause(POLL)
        return self.bury()

    def kill(self) -> None:
        """SIGKILL the program and its process group; the data must survive that."""
        self.signal(signal.SIGKILL)
        self.bury()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program itself."""
        if self._child is not None:
            self._child.send_signal(number)

    def bury(self) -> str:
        """Leave no process of its group alive, and say how the program ended."""
        child, self._child, self._asked_at = self._child, None, None
        if child is None:
            return "not running"
        if child.poll() is None:
            child.kill()
        code = child.wait()
        group.kill(child.pid)
        return f"exit code {code}" if code >= 0 else signal.Signals(-code).name

    def tail(self) -> str:
        """The last lines of its log, to follow a sentence."""
        if self.log is None:
            return ": see its lines above"
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
        grace = self.hurried_grace if self.patience.hurried else self.grace
        return self._asked_at is None or time.monotonic() - self._asked_at > grace
