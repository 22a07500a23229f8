"""A command on a terminal of its own, as a person would run it: a pseudo-terminal, its size, its keys."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from tests.processes import ROOT

# The command's standard input becomes the terminal that Ctrl-C comes from.
LAUNCH = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[()][A-Z0-9]|[=>78])")


class Terminal:
    """Runs `notify` with these words. `seen` is all that it has written so far, escape sequences and all."""

    def __init__(self, words: Sequence[str], environ: Mapping[str, str], lines: int = 24, columns: int = 80) -> None:
        self._master, slave = pty.openpty()
        self.seen = ""
        self._size(lines, columns)
        command = [sys.executable, "-c", LAUNCH, sys.executable, "-m", "cli.main", *words]
        # The size is the terminal's own: what the environment says of it would be believed first.
        inherited = {name: value for name, value in os.environ.items() if name not in ("LINES", "COLUMNS", "NO_COLOR")}
        environ = {**inherited, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT), **environ}
        self._child = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environ, cwd=ROOT, start_new_session=True
        )
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: type[BaseException] | None, _exc: object, _trace: TracebackType | None) -> None:
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        os.close(self._master)

    def until(self, text: str, within: float = 20.0) -> str:
        """Wait until it has written this since the last call; what it has written then, without escape sequences."""
        begun, deadline = len(self.seen), time.monotonic() + within
        while text not in (said := ESCAPE.sub("", self.seen[begun:])):
            if not self._read(deadline):
                raise AssertionError(f"{text!r} did not come; it said {said!r}")
        return said

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def resize(self, lines: int, columns: int) -> None:
        self._size(lines, columns)
        os.killpg(self._child.pid, signal.SIGWINCH)

    def ended(self, within: float = 20.0) -> int:
        """Its exit code, once it has ended."""
        deadline = time.monotonic() + within
        while self._read(deadline):
            pass
        return self._child.wait(max(0.1, deadline - time.monotonic()))

    def _read(self, deadline: float) -> bool:
        """Wait for output until the deadline and read it. Return True if there was any."""
        ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
        try:
            more = os.read(self._master, 65_536) if ready else b""
        except OSError:  # How Linux says that nobody has the other side open any more.
            more = b""
        self.seen += more.decode(errors="replace")
        return bool(more)

    def _size(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
