"""Structured logs: one line per event on stderr, JSON in production, readable on a terminal.

structlog makes them: `Log` is its logger, three processors are its chain, and stderr.py has the last of these and
what writes. What libraries log through `logging` goes the same way. No line has a message body, a secret, or an
address in clear: see redaction.py.
"""

from __future__ import annotations

import logging
import os
import random
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime

import structlog
from structlog.typing import EventDict

from runtime import redaction
from runtime.redaction import masked
from runtime.stderr import STDERR, Renderer, Stderr
from settings import Settings

__all__ = ["Log", "begin", "bind", "bound", "configure", "get", "masked"]

# One variable for all of the context: structlog.contextvars has one for each name, and costs a request 4 µs more.
_context: ContextVar[Mapping[str, object]] = ContextVar("logged", default={})  # noqa: B039 - never changed
_SPREAD, _BITS = 2_654_435_761, 0xFFFFFFFF  # Knuth's: neighbouring ids land far from each other


class _Process:
    """What `configure` decides for this process."""

    level = logging.INFO
    sample = 1.0
    name = "python"
    id = f"python/{os.getpid()}"


def _identify() -> None:
    _Process.id = f"{_Process.name}/{os.getpid()}"


os.register_at_fork(after_in_child=_identify)


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


class Log(structlog.BoundLoggerBase):
    """The logger of one part of the system. Fields must not be called time, level, event, process or component."""

    def debug(self, event: str, **fields: object) -> None:
        if _Process.level <= logging.DEBUG:
            self._say("debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        if _Process.level <= logging.INFO:
            self._say("info", event, fields)

    def routine(self, event: str, key: int | None = None, **fields: object) -> None:
        """As `info`, for what happens with every mail: of these LOG_SAMPLE are kept, and each says so.

        Lines with the same `key` are kept together, or none of them; without one it is drawn.
        """
        if _Process.sample < 1:
            drawn = random.random() if key is None else (key * _SPREAD & _BITS) / _BITS  # noqa: S311 - no secret
            if drawn >= _Process.sample:
                return
            fields["sample"] = _Process.sample
        if _Process.level <= logging.INFO:
            self._say("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        if _Process.level <= logging.WARNING:
            self._say("warning", event, fields)

    def error(self, event: str, exc_info: BaseException | None = None, **fields: object) -> None:
        self._say("error", event, {**fields, "exc_info": exc_info})

    def exception(self, event: str, **fields: object) -> None:
        """An error, with the traceback of the exception that is being handled."""
        self.error(event, sys.exc_info()[1], **fields)

    def _say(self, method: str, event: str, fields: dict[str, object]) -> None:
        args, _ = self._process_event(method, event, fields)
        getattr(self._logger, method)(*args)


def _place(_logger: object, method: str, event: EventDict) -> EventDict:
    """Put what every line has first, then the context of its task, then the rest."""
    return {
        "time": datetime.now(UTC),
        "level": method,
        "event": event.pop("event"),
        "process": _Process.id,
        **_context.get(),
        **event,
    }


def _tell_exception(_logger: object, _method: str, event: EventDict) -> EventDict:
    if (error := event.pop("exc_info", None)) is not None:
        event["exception"] = redaction.traced(error, whole=_Process.level <= logging.DEBUG)
    return event


def get(name: str) -> Log:
    """The logger of one part of the system; `name` stands in each of its lines as `component`."""
    log: Log = structlog.get_logger(component=name).bind()
    return log


_stderr, _render = Stderr(), Renderer()
structlog.configure(processors=[_place, _tell_exception, _render], wrapper_class=Log, logger_factory=lambda *_: _stderr)
_libraries: Log = structlog.get_logger().bind()


class _Libraries(logging.Handler):
    """Passes on to structlog what libraries log; like an error whatever its level, because it may quote anything."""

    def emit(self, record: logging.LogRecord) -> None:
        text = redaction.said(record, whole=_Process.level <= logging.DEBUG)
        error = record.exc_info[1] if record.exc_info else None
        _libraries.error(text, error, level=record.levelname.lower(), logger=record.name)


def configure(settings: Settings, process: str = "notify") -> None:
    """Send every log of this process to stderr at LOG_LEVEL in LOG_FORMAT. Safe to call again."""
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not os.isatty(STDERR))
    _Process.level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    _Process.sample = settings.log_sample
    _Process.name = process
    _identify()
    _render.console = None if as_json else structlog.dev.ConsoleRenderer(colors=os.isatty(STDERR))
    _render.scrubber = redaction.Scrubber(redaction.secrets(settings))
    logging.basicConfig(level=max(_Process.level, logging.INFO), handlers=[_Libraries()], force=True)
    for server in ("gunicorn.error", "uvicorn.error"):  # They bring a handler of their own.
        logging.getLogger(server).handlers.clear()
        logging.getLogger(server).propagate = True
    # A retry has its own line, with the notification's id.
    logging.getLogger("dramatiq.middleware.retries").setLevel(logging.WARNING)
