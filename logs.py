"""Structured logs: one line per event on stderr, JSON in production, readable on a terminal.

Never a message body, a secret, or an address in clear: see redaction.py. What libraries log through
`logging` comes out in the same form. A line is made and written here in one go: a chain of small
processors costs three times as much, and a worker writes one for each mail. What the thread of an event
loop has to say in one of its turns is written together: see `bundle`.
"""

from __future__ import annotations

import atexit
import logging
import os
import random
import select
import sys
import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import orjson
import structlog

import redaction
from redaction import masked
from settings import Settings

__all__ = ["Log", "begin", "bind", "bundle", "configure", "get", "masked", "unbundle"]

_context: ContextVar[Mapping[str, object]] = ContextVar("logged", default=MappingProxyType({}))
_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE
_STDERR = 2
_SPREAD, _BITS = 2_654_435_761, 0xFFFFFFFF  # Knuth's: neighbouring ids land far from each other


def begin(**context: object) -> None:
    """From here on every line of this task has this context, and no other."""
    _context.set(context)


def bind(**context: object) -> None:
    """From here on every line of this task has this context too."""
    _context.set({**_context.get(), **context})


def bound(name: str) -> str | None:
    """What every line of this task says of `name`, if anything."""
    value = _context.get().get(name)
    return None if value is None else str(value)


class _Output:
    """Where lines go, and which."""

    def __init__(self) -> None:
        self.level = logging.INFO
        self.sample = 1.0
        self.process = self.name = "python"
        self.console: structlog.dev.ConsoleRenderer | None = structlog.dev.ConsoleRenderer(colors=False)
        self.scrubber = redaction.Scrubber()
        self._bundled: list[bytes] = []
        self._thread: int | None = None  # whose lines are bundled
        self.name_process()
        os.register_at_fork(after_in_child=self._begin_anew)
        atexit.register(self.unbundle)

    def name_process(self) -> None:
        self.process = f"{self.name}/{os.getpid()}"

    def bundle(self, soon: Callable[[Callable[[], object]], object]) -> None:
        self._thread, self._soon = threading.get_ident(), soon

    def unbundle(self) -> None:
        self._thread = None
        self._flush()

    def write(self, line: dict[str, Any], *, suspect: bool) -> None:
        """One line. `suspect`: the words of others may be in it, and with them anything."""
        try:
            data = orjson.dumps(line, str, _OPTIONS)
        except TypeError:  # A lone surrogate, or a number that JSON has no room for.
            data = orjson.dumps({name: _fit(value) for name, value in line.items()}, None, _OPTIONS)
        if suspect or b"@" in data:  # Of our own lines none has an address, unless somebody forgot.
            data = self.scrubber.line(data)
        if self.console is not None:
            data = _readable(self.console, data)
        if self._thread is None or threading.get_ident() != self._thread:
            _put(data)
            return
        self._bundled.append(data)
        if suspect:  # What went wrong may be the last that is heard of this process.
            self._flush()
        elif len(self._bundled) == 1:
            self._soon(self._flush)

    def _flush(self) -> None:
        """A pipe takes up to PIPE_BUF bytes in one piece: what others write into the same one is not among them."""
        together = b""
        for line in self._bundled:
            if together and len(together) + len(line) > select.PIPE_BUF:
                _put(together)
                together = b""
            together += line
        self._bundled.clear()
        if together:
            _put(together)

    def _begin_anew(self) -> None:
        """In a child: what its parent has not written yet is for that one to write."""
        self._bundled.clear()
        self._thread = None
        self.name_process()


def _put(data: bytes) -> None:
    try:
        while data:
            data = data[os.write(_STDERR, data) :]
    except OSError:  # Nobody reads it. What a line tells of must go on all the same.
        return


_out = _Output()


class Log:
    """The logger of one part of the system. Fields must not be called time, level, event, process or component."""

    __slots__ = ("_component",)

    def __init__(self, component: str) -> None:
        self._component = component

    def debug(self, event: str, **fields: object) -> None:
        if _out.level <= logging.DEBUG:
            self._say("debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        if _out.level <= logging.INFO:
            self._say("info", event, fields)

    def routine(self, event: str, key: int | None = None, **fields: object) -> None:
        """As `info`, for what happens with every mail: of these LOG_SAMPLE are kept, and each says so.

        Lines with the same `key` are kept together, or none of them; without one it is drawn.
        """
        if _out.level > logging.INFO:
            return
        if _out.sample < 1:
            drawn = random.random() if key is None else (key * _SPREAD & _BITS) / _BITS  # noqa: S311 - no secret
            if drawn >= _out.sample:
                return
            fields["sample"] = _out.sample
        self._say("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        if _out.level <= logging.WARNING:
            self._say("warning", event, fields, suspect=True)

    def error(self, event: str, exc_info: BaseException | None = None, **fields: object) -> None:
        if exc_info is not None:
            fields["exception"] = redaction.traced(exc_info, whole=_out.level <= logging.DEBUG)
        self._say("error", event, fields, suspect=True)

    def exception(self, event: str, **fields: object) -> None:
        """An error, with the traceback of the exception that is being handled."""
        self.error(event, sys.exc_info()[1], **fields)

    def _say(self, level: str, event: str, fields: Mapping[str, object], *, suspect: bool = False) -> None:
        line = {
            "time": datetime.now(UTC),
            "level": level,
            "event": event,
            "process": _out.process,
            "component": self._component,
            **_context.get(),
            **fields,
        }
        _out.write(line, suspect=suspect)


class _Libraries(logging.Handler):
    """What libraries log."""

    def emit(self, record: logging.LogRecord) -> None:
        whole = _out.level <= logging.DEBUG
        line = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "event": _said(record, whole=whole),
            "process": _out.process,
            "logger": record.name,
            **_context.get(),
        }
        if record.exc_info and record.exc_info[1]:
            line["exception"] = redaction.traced(record.exc_info[1], whole=whole)
        _out.write(line, suspect=True)


def configure(settings: Settings, process: str = "notify") -> None:
    """Send every log of this process to stderr at LOG_LEVEL in LOG_FORMAT. Safe to call again."""
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not os.isatty(_STDERR))
    _out.level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    _out.sample = settings.log_sample
    _out.console = None if as_json else structlog.dev.ConsoleRenderer(colors=os.isatty(_STDERR))
    _out.scrubber = redaction.Scrubber(redaction.secrets(settings))
    _out.name = process
    _out.name_process()
    logging.basicConfig(level=max(_out.level, logging.INFO), handlers=[_Libraries()], force=True)
    for server in ("gunicorn.error", "uvicorn.error"):  # They bring a handler of their own.
        logging.getLogger(server).handlers.clear()
        logging.getLogger(server).propagate = True
    # A retry has its own line, with the notification's id.
    logging.getLogger("dramatiq.middleware.retries").setLevel(logging.WARNING)


def bundle(soon: Callable[[Callable[[], object]], object]) -> None:
    """From here on, write the lines of this thread together, those of one turn of its loop.

    `soon` has the loop call something before it waits again. A process that is killed takes the lines of that turn
    with it. Warnings and errors are written at once, after what came before them.
    """
    _out.bundle(soon)


def unbundle() -> None:
    """Write each line at once again, and first what was not written yet. The end of a process does this too."""
    _out.unbundle()


def get(name: str) -> Log:
    """The logger of one part of the system; `name` stands in each of its lines as `component`."""
    return Log(name)


def _said(record: logging.LogRecord, *, whole: bool) -> str:
    """A library's words; of an exception among them its type alone."""
    if isinstance(record.args, tuple) and any(isinstance(arg, BaseException) for arg in record.args):
        args = tuple(redaction.told(a, whole=whole) if isinstance(a, BaseException) else a for a in record.args)
        return str(record.msg) % args
    return record.getMessage()


def _fit(value: object) -> object:
    try:
        orjson.dumps(value)
    except TypeError:
        return ascii(value)
    return value


def _readable(console: structlog.dev.ConsoleRenderer, line: bytes) -> bytes:
    fields = orjson.loads(line)
    fields["timestamp"] = fields.pop("time")
    return f"{console(None, '', fields)}\n".encode("utf-8", "replace")
