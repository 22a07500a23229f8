"""The end of structlog's chain for logs.py: a line is rendered, searched for what it must not hold, and written."""

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
    """The last processor: JSON in one line, and of it a line for people where there is a `console`."""

    def __init__(self) -> None:
        self.console: structlog.dev.ConsoleRenderer | None = structlog.dev.ConsoleRenderer(colors=False)
        self.scrubber = Scrubber()

    def __call__(self, _logger: object, method: str, event: EventDict) -> bytes:
        """Warnings and errors may quote others, so they are searched; and whatever has an @, should we have erred."""
        try:
            line = orjson.dumps(event, str, _OPTIONS)
        except TypeError:  # A lone surrogate, or a number that JSON has no room for.
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
    """What structlog's loggers write to: whole lines, those of one turn of an event loop together.

    Each write lets go of the interpreter, and other threads take it: a write for every line would hold up a loop
    much longer than it takes itself. A process that is killed takes the lines of the current turn with it. Warnings
    and errors, and the lines of threads without a loop, are written at once, after what came before them.
    """

    def __init__(self) -> None:
        self._reset()
        os.register_at_fork(after_in_child=self._reset)  # The parent writes what it has not written yet.
        atexit.register(self.flush)

    def _reset(self) -> None:
        self._lines: deque[bytes] = deque()
        self._writing = threading.RLock()  # A signal handler may log in the middle of a write.
        self._flushed_by: asyncio.AbstractEventLoop | None = None  # soon, before it waits again

    def info(self, line: bytes) -> None:
        """Write the line before the running event loop waits again; at once where none runs."""
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
        """Write the line now: it may be the last that is heard of this process."""
        self._lines.append(line)
        self.flush()

    debug, warning = info, error

    def flush(self) -> None:
        """Write all lines, in pieces that a pipe takes whole: another process that writes to it divides no line."""
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
    except OSError:  # Nobody reads it. What a line tells of must go on all the same.
        return
