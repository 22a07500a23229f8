"""End of structlog's chain for logs.py: render a line, remove secrets and addresses from it, and write it."""

from __future__ import annotations

import asyncio
import atexit
import os
import select
import threading
from collections import deque

import orjson
import structlog
from structlog.typing import EventDict

from runtime.redaction import Scrubber

STDERR = 2
_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE


class Renderer:
    """Last processor: renders an event as one line of JSON, or for people if there is a `console`."""

    def __init__(self) -> None:
        self.console: structlog.dev.ConsoleRenderer | None = structlog.dev.ConsoleRenderer(colors=False)
        self.scrubber = Scrubber()

    def __call__(self, _logger: object, method: str, event: EventDict) -> bytes:
        """Return the line. Warnings and errors are scrubbed, because they may quote; so is every line with an @."""
        try:
            line = orjson.dumps(event, str, _OPTIONS)
        except TypeError:  # A lone surrogate, or a number that is too large for JSON.
            line = orjson.dumps({name: _fit(value) for name, value in event.items()}, None, _OPTIONS)
        if method in {"warning", "error"} or b"@" in line:
            line = self.scrubber.line(line)
        return line if self.console is None else _readable(self.console, line)


def _readable(console: structlog.dev.ConsoleRenderer, line: bytes) -> bytes:
    fields = orjson.loads(line)
    fields["timestamp"] = fields.pop("time")
    return f"{console(None, '', fields)}\n".encode("utf-8", "replace")


def _fit(value: object) -> object:
    try:
        orjson.dumps(value)
    except TypeError:
        return ascii(value)
    return value


class Stderr:
    """Writer of structlog's loggers. It writes the lines of one iteration of the event loop together.

    Each write releases the interpreter's lock to other threads, so that one write per line would delay the event loop
    much longer than the write itself takes. If the process is killed, the lines of the current iteration are lost.
    Warnings, errors and the lines of threads without an event loop are written at once, after the lines before them.
    """

    def __init__(self) -> None:
        self._reset()
        os.register_at_fork(after_in_child=self._reset)  # The parent writes the pending lines.
        atexit.register(self.flush)

    def _reset(self) -> None:
        self._lines: deque[bytes] = deque()
        self._writing = threading.RLock()  # Reentrant: a signal handler may log during a write.
        self._flushed_by: asyncio.AbstractEventLoop | None = None  # the loop that will call `flush`

    def info(self, line: bytes) -> None:
        """Write the line before the running event loop waits again, or at once if there is none."""
        self._lines.append(line)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
        else:
            if self._flushed_by is not loop:
                self._flushed_by = loop
                loop.call_soon(self.flush)

    def error(self, line: bytes) -> None:
        """Write the line at once, because it may be the last one of this process."""
        self._lines.append(line)
        self.flush()

    debug, warning = info, error

    def flush(self) -> None:
        """Write all lines, in pieces of at most PIPE_BUF bytes: lines of other processes cannot split them."""
        self._flushed_by = None
        with self._writing:
            piece = b""
            while self._lines:
                line = self._lines.popleft()
                if piece and len(piece) + len(line) > select.PIPE_BUF:
                    _write(piece)
                    piece = b""
                piece += line
            _write(piece)


def _write(data: bytes) -> None:
    try:
        while data:
            data = data[os.write(STDERR, data) :]
    except OSError:  # The reader is gone. Logging must never stop the work.
        return
