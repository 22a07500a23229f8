"""Configuration of gunicorn: run `gunicorn` in this directory. The settings for operators are in settings/.

`gunicorn --check-config` checks the settings and the database, and exits.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any


def _our_modules() -> set[str]:
    """Return the top-level names of our code: the packages next to settings/, or the names that the wheel lists."""
    root = Path(importlib.import_module("settings").__file__ or "").parents[1]
    if installed := list(root.glob("notification_system-*.dist-info/top_level.txt")):  # Next to other packages.
        return {name for listed in installed for name in listed.read_text().split()}
    return {path.parent.name for path in root.glob("*/__init__.py")}


# gunicorn reads this file again at SIGHUP, and its workers inherit the modules that the master has imported. Unless the
# master forgets our modules, new workers run a mix of old and new code.
OURS = _our_modules()
for _name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
    del sys.modules[_name]
importlib.invalidate_caches()

import settings
from db import database, fitness, migrations
from runtime import logs, process, tracing
from runtime.metrics import multiprocess

# A supervisor may send these to the whole process group. The last two are for the master; they would end a worker.
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR2)
TRIAL_WITHIN = 60.0  # seconds

if os.getpid() == 1 and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
    # The kernel does not apply default signal actions to PID 1 of a container, and gunicorn sets its handlers later.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

try:
    _current = settings.load()
    _current.database.require()
    _current.redis.require()
    tracing.check(_current.telemetry)
except settings.SettingsError as _error:
    settings.cannot_start(_error)

wsgi_app = "api.app:create_app()"
bind = _current.http.bind
workers = _current.process.web_concurrency
worker_class = "api.http.worker.Worker"
# Longer than the idle time-out of common proxies (60 s), or they would reuse a connection that we have just closed.
keepalive = 75
graceful_timeout = int(_current.process.shutdown_grace)
# The master kills a worker that sends no heartbeat for this time. Uvicorn sends one after half of it, until it stops.
timeout = max(30, 2 * (graceful_timeout + 5))
# The default is one socket in the home directory, which two instances cannot share.
control_socket_disable = True
# Our own log has a line for each request.
accesslog = None
logger_class = "api.http.worker.Logger"


def on_starting(_server: Any) -> None:
    """Refuse to start if the database is not available or has another schema."""
    if _current.http.exposed:
        log = logs.get("api")
        log.warning("auth.off", bind=_current.http.bind, meaning="everybody who can reach this address may send")
    _check_database()


def when_ready(server: Any) -> None:
    """Check new code at SIGHUP before the running workers are replaced."""
    signal.signal(signal.SIGHUP, partial(_reload, server))


def on_reload(server: Any) -> None:
    """Use the logger of the new code for the new workers."""
    server.log = server.cfg.logger_class(server.cfg)


def post_fork(_server: Any, worker: Any) -> None:
    """End the worker if its master is killed, and hold back signals until it has booted."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    process.die_with_parent(worker.ppid)
    multiprocess.share(_current.telemetry.metrics_dir, worker.ppid, "api")


def post_worker_init(_worker: Any) -> None:
    """Accept signals from now on. Before uvicorn serves, and after it has stopped, a stop signal ends the process."""
    process.collect_seldom()
    for number in (signal.SIGHUP, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, lambda *_: sys.exit(0))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _check_database() -> None:
    try:
        database.bind(_current.database)
        migrations.check_start()
        # Otherwise every worker would inherit the connection.
        database.database.close()
    except (settings.SettingsError, fitness.Unusable, database.Unavailable) as error:
        settings.cannot_start(error)


def _reload(server: Any, number: int, frame: Any) -> None:
    """Let gunicorn replace its workers if the newly installed code would start; otherwise keep the running ones.

    Without this check gunicorn exits when new workers cannot boot.
    """
    if not server.LISTENERS:  # The server is stopping; the check would delay it.
        return
    command = [sys.executable, "-P", *sys.argv, "--check-config"]
    try:
        subprocess.run(command, check=True, timeout=TRIAL_WITHIN, stdin=subprocess.DEVNULL)  # noqa: S603 - our own words
    except (OSError, subprocess.SubprocessError) as error:
        logs.get("api").error("reload.refused", error=str(error), meaning="the running processes continue")
    else:
        server.signal(number, frame)


if "--check-config" in sys.argv:
    importlib.import_module(worker_class.rpartition(".")[0])  # gunicorn itself imports only the application
    _check_database()
