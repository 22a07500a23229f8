"""Settings of every long-running process: the API and the workers."""

from __future__ import annotations

from dataclasses import dataclass

from settings.group import Group, number


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSettings(Group):
    """Read by gunicorn.conf.py, and by everything that finishes its work when its process stops."""

    web_concurrency: int = number("WEB_CONCURRENCY", 2, "processes", low=1, high=256)
    """How many processes serve the API."""
    shutdown_grace: float = number("SHUTDOWN_GRACE", 30, "seconds", low=1, high=3_600)
    """How long a stopping process waits for work in progress."""
