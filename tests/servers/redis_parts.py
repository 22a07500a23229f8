"""Helpers that the tests of Redis on the distribution's server share."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from click.testing import Result

from cli.doctor import redis_server as redis_server_checks
from tests import embedded
from tests.servers.running import invoke
from tests.servers.stock_redis import StockRedis
from tests.system import INHERITED, System

SMTP = "smtp://127.0.0.1:9"


@contextmanager
def redis_server(*options: str) -> Iterator[StockRedis]:
    """A redis-server of one's own with these options."""
    with embedded.short_directory() as directory:
        server = StockRedis(directory, *options)
        try:
            server.start()
            yield server
        finally:
            server.kill()


def system(directory: Path, database_url: str, redis_url: str, smtp_url: str = SMTP, **settings: object) -> System:
    """A System whose keys have the namespace of its database, as by default."""
    directory.mkdir(exist_ok=True)
    settings = {"redis_namespace": "", "worker_timeout": 30, **settings}
    return System(directory, database_url=database_url, redis_url=redis_url, smtp_url=smtp_url, **settings)


def environment(database_url: str, redis_url: str, **settings: object) -> dict[str, str]:
    """The environment of a command."""
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    given = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "SMTP_URL": SMTP, "MAIL_FROM": "a@sender.example"}
    return kept | given | {name.upper(): str(value) for name, value in settings.items()}


def notify(*words: str, **environ: str) -> Result:
    """Run a command of `notify` to its end."""
    return invoke(words, environ)


def doctor(database_url: str, redis_url: str, **settings: object) -> tuple[int, list[dict[str, Any]]]:
    """Return the exit code of `notify doctor`, and its findings about Redis."""
    with mock.patch.object(redis_server_checks, "SLOW", 60.0):  # A busy machine is no server far away.
        done = notify("doctor", "--json", **environment(database_url, redis_url, **settings))
    assert done.stdout, done.stderr
    found = [one for one in json.loads(done.stdout)["findings"] if one["check"] == "redis"]
    return done.exit_code, found
