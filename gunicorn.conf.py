"""gunicorn's settings: run `gunicorn` in this directory. What an operator changes stands in settings.py."""

from __future__ import annotations

import signal
from typing import Any

import cells
import lifeline
import logs
import settings
import tracing
from db import database, fitness, migrations

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


try:
    _current = settings.load()
    _current.require("database_url", "redis_url")
    tracing.check(_current)
except settings.SettingsError as _error:
    settings.cannot_start(_error)

wsgi_app = "api.app:create_app()"
bind = _current.bind
workers = _current.web_concurrency
worker_class = "api.server.Worker"
asgi_lifespan = "on"
# Above the idle time-out of usual proxies (60 s), or they reuse a connection that we just closed.
keepalive = 75
graceful_timeout = int(_current.shutdown_grace)
# Its default is one socket in the home directory, over which two instances would fight.
control_socket_disable = True
# Our own lines tell of each event and each request.
accesslog = None
logger_class = "api.server.Logger"


def on_starting(_server: Any) -> None:
    """Refuse to serve on a database that is away or has another schema."""
    if _current.exposed:
        log = logs.get("api")
        log.warning("auth.off", bind=_current.bind, meaning="whoever can reach this address may send")
    try:
        database.bind(_current)
        migrations.check_start()
        # Or every worker would inherit it.
        database.database.close()
    except (settings.SettingsError, fitness.Unfit, database.Unavailable) as error:
        settings.cannot_start(error)


def post_fork(_server: Any, worker: Any) -> None:
    """A worker does not outlive a master that was killed, and hears a stop even while it boots."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    lifeline.die_with_parent(worker.ppid)
    cells.share(_current.metrics_dir, worker.ppid, "api")


def post_worker_init(worker: Any) -> None:
    """From here on its event loop hears signals; uvloop would forget one that came before the loop runs."""
    lifeline.collect_seldom()
    worker.loop.call_soon(signal.pthread_sigmask, signal.SIG_UNBLOCK, STOPPING)
