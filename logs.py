"""Structured logs: one line per event on stderr, JSON in production, readable on a terminal.

Own events go through structlog; what libraries log through `logging` is rendered by the same
processors. Never a message body, and never an address in clear at info level: see `masked`.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from typing import Any

import orjson
import structlog

from settings import Settings

_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure(settings: Settings) -> None:
    """Send every log of this process to stderr at LOG_LEVEL in LOG_FORMAT. Safe to call again."""
    level = getattr(logging, settings.log_level.upper())
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not os.isatty(2))
    render: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(serializer=_dump) if as_json else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[*_SHARED, structlog.processors.format_exc_info, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
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


def _dump(value: object, **_: object) -> str:
    return orjson.dumps(value, default=str).decode()
