"""gunicorn worker of the API: uvicorn on uvloop and httptools, configured by public options only."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from gunicorn.glogging import Logger as GunicornLogger
from uvicorn_worker import UvicornWorker

import settings
from api.http.connection import Connection
from runtime import logs

KILL_MARGIN = 1  # seconds


def stop_timeout(grace: int) -> float:
    """Return the seconds after which uvicorn cancels requests. gunicorn kills the process after `grace` seconds."""
    return max(grace - KILL_MARGIN, grace / 2)


class Logger(GunicornLogger):  # type: ignore[misc]
    """gunicorn's logger, configured so that its first line already has our format."""

    def setup(self, cfg: Any) -> None:
        """Configure gunicorn's logger, then ours."""
        super().setup(cfg)
        logs.configure(settings.load(), "gunicorn")


class Worker(UvicornWorker):  # type: ignore[misc]
    """Worker process that serves the API."""

    CONFIG_KWARGS = {  # noqa: RUF012 - declared so by the base class
        "loop": "uvloop",
        "http": Connection,
        "ws": "none",
        "lifespan": "on",
        # The application logs requests, and Connection decides which proxies are trusted.
        "access_log": False,
        "proxy_headers": False,
        "server_header": False,
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.config.timeout_graceful_shutdown = stop_timeout(self.cfg.graceful_timeout)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop without waiting for requests in progress. gunicorn sends SIGQUIT after it has got SIGINT or SIGQUIT."""
        for _ in range(2):  # uvicorn stops at the first SIGINT, and stops waiting for requests at the second.
            signal.raise_signal(signal.SIGINT)
