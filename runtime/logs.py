"""Structured logs: one line per event on stderr, as JSON in production and readable on a terminal.

They are made by structlog: `Log` is the logger, and three processors form the chain. The last processor and the writer
are in stderr.py. Libraries' messages through `logging` take the same way. No line contains a message body, a secret or
a readable address: see redaction.py.
"""

from __future__ import annotations

import logging
import os
import random
import sys
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime

import structlog
from structlog.typing import EventDict

from runtime import redaction
from runtime.redaction import masked
from runtime.stderr import STDERR, Renderer, Stderr
from settings import Settings

__all__ = ["Log", "begin", "bind", "bound", "configure", "get", "masked"]

# One variable for the whole context: structlog.contextvars has one for each name, which costs a request 4 µs more.
_context: ContextVar[Mapping[str, object]] = ContextVar("logged", default={})  # noqa: B039 - never changed
_SPREAD, _BITS = 2_654_435_761, 0xFFFFFFFF  # Knuth's multiplicative hash: spreads neighbouring ids


class _Process:
    """Settings of this process, made by `configure`."""

    level = logging.INFO
    sample = 1.0
    name = "python"
    id = f"python/{os.getpid()}"


def _identify() -> None:
    _Process.id = f"{_Process.name}/{os.getpid()}"


os.register_at_fork(after_in_child=_identify)


def begin(**context: object) -> None:
    """Replace the context that every further line of this task contains."""
    _context.set(context)


def bind(**context: object) -> None:
    """Add to the context that every further line of this task contains."""
    _context.set({**_context.get(), **context})


def bound(name: str) -> str | None:
    """Return the value of `name` in the context of this task, as text; None if there is none."""
    value = _context.get().get(name)
    return None if value is None else str(value)


class Log(structlog.BoundLoggerBase):
    """Logger of one component. Fields must not be named time, level, event, process or component."""

    def debug(self, event: str, **fields: object) -> None:
        if _Process.level <= logging.DEBUG:
            self._say("debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        if _Process.level <= logging.INFO:
            self._say("info", event, fields)

    def routine(self, event: str, key: int | None = None, **fields: object) -> None:
        """Log an event of every mail or request at the level info, sampled.

        The fraction LOG_SAMPLE of the lines is kept, and each of them contains the fraction. Lines with the same `key`
        are either all kept or all dropped; without a key the choice is random.
        """
        if _Process.level <= logging.INFO and (_Process.sample >= 1 or _drawn(key)):
            self._say("info", event, {**fields, **_sample()})

    def routine_of(self, event: str, keys: Sequence[int], **fields: object) -> None:
        """Log one sampled line for many keys. Its field `ids` contains the keys that are kept; see `routine`."""
        kept = keys if _Process.sample >= 1 else [key for key in keys if _drawn(key)]
        if kept and _Process.level <= logging.INFO:
            self._say("info", event, {"ids": kept, **fields, **_sample()})

    def warning(self, event: str, **fields: object) -> None:
        if _Process.level <= logging.WARNING:
            self._say("warning", event, fields)

    def error(self, event: str, exc_info: BaseException | None = None, **fields: object) -> None:
        self._say("error", event, {**fields, "exc_info": exc_info})

    def exception(self, event: str, **fields: object) -> None:
        """Log an error with the traceback of the exception that is being handled."""
        self.error(event, sys.exc_info()[1], **fields)

    def _say(self, method: str, event: str, fields: dict[str, object]) -> None:
        args, _ = self._process_event(method, event, fields)
        getattr(self._logger, method)(*args)


def _drawn(key: int | None) -> bool:
    draw = random.random() if key is None else (key * _SPREAD & _BITS) / _BITS  # noqa: S311 - no secret
    return draw < _Process.sample


def _sample() -> dict[str, object]:
    return {} if _Process.sample >= 1 else {"sample": _Process.sample}


def _place(_logger: object, method: str, event: EventDict) -> EventDict:
    """Order the fields: those of every line first, then the context of the task, then the others."""
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
    """Return the logger of a component; its lines contain `name` as `component`."""
    log: Log = structlog.get_logger(component=name).bind()
    return log


_stderr, _render = Stderr(), Renderer()
structlog.configure(processors=[_place, _tell_exception, _render], wrapper_class=Log, logger_factory=lambda *_: _stderr)
_libraries: Log = structlog.get_logger().bind()


class _Libraries(logging.Handler):
    """Handler that passes libraries' messages to structlog, always as errors, so that what they quote is scrubbed."""

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
    for server in ("gunicorn.error", "uvicorn.error"):  # These loggers have handlers of their own.
        logging.getLogger(server).handlers.clear()
        logging.getLogger(server).propagate = True
    # We log each retry ourselves, with the notification's id.
    logging.getLogger("dramatiq.middleware.retries").setLevel(logging.WARNING)
