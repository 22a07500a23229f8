"""Structured logs: one line per event on stderr, JSON in production, readable on a terminal.

Own events go through structlog; what libraries log through `logging` is rendered by the same
processors. Never a message body, and never an address in clear at info level: see `masked`.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import orjson
import structlog

from settings import Settings

_context: ContextVar[Mapping[str, object]] = ContextVar("logged", default=MappingProxyType({}))


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


def _in_context(_logger: Any, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {**_context.get(), **event}


def _timed(_logger: Any, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    event["timestamp"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return event


_SHARED: list[structlog.typing.Processor] = [_in_context, structlog.stdlib.add_log_level, _timed]


def configure(settings: Settings) -> None:
    """Send every log of this process to stderr at LOG_LEVEL in LOG_FORMAT. Safe to call again."""
    level = getattr(logging, settings.log_level.upper())
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not os.isatty(2))
    render: structlog.typing.Processor = _json_text if as_json else _CONSOLE
    factory: Any = structlog.PrintLoggerFactory(sys.stderr)
    own, buffer = render, getattr(sys.stderr, "buffer", None)
    if as_json and buffer is not None:  # To print a line as text costs twice as much; Dramatiq's pipe takes no other.
        own, factory = _json, structlog.BytesLoggerFactory(buffer)
    structlog.configure(
        processors=[*_SHARED, structlog.processors.format_exc_info, own],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_SHARED, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                render,
            ],
        )
    )
    logging.basicConfig(level=max(level, logging.INFO), handlers=[handler], force=True)
    gunicorn = logging.getLogger("gunicorn.error")  # It brings a handler of its own.
    gunicorn.handlers.clear()
    gunicorn.propagate = True
    # A retry has its own line, with the notification's id.
    logging.getLogger("dramatiq.middleware.retries").setLevel(logging.WARNING)


def get(name: str) -> Any:
    """The logger of one part of the system; `name` stands in each of its lines as `component`."""
    return structlog.get_logger(component=name)


def masked(address: str) -> str:
    """An address for a log line: the same one gives the same mark, and nobody can read it back at a glance.

    The domain stays, because deliverability problems are per domain.
    """
    address = address.lower()
    digest = hashlib.sha256(address.encode()).hexdigest()[:8]
    _, at, domain = address.rpartition("@")
    return f"{digest}@{domain}" if at else digest


def _json(_logger: Any, _name: str, event: structlog.typing.EventDict) -> bytes:
    return orjson.dumps(event, default=str)


def _json_text(_logger: Any, _name: str, event: structlog.typing.EventDict) -> str:
    return orjson.dumps(event, default=str).decode()


_CONSOLE: structlog.typing.Processor = structlog.dev.ConsoleRenderer()
