"""gunicorn's settings: run `gunicorn` in this directory. What an operator changes stands in settings/.

`gunicorn --check-config` says whether it would start, also on the database that it is given.
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
    """Return the top-level names of all our code: of the packages around settings/, or as the wheel lists them."""
    root = Path(importlib.import_module("settings").__file__ or "").parents[1]
    if installed := list(root.glob("notification_system-*.dist-info/top_level.txt")):  # Among other people's code.
        return {name for listed in installed for name in listed.read_text().split()}
    return {path.parent.name for path in root.glob("*/__init__.py")}


# gunicorn reads this file again at SIGHUP, and its workers inherit what the master has imported: unless the
# master forgets our modules, new workers run a mix of old and new ones.
OURS = _our_modules()
for _name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
    del sys.modules[_name]
importlib.invalidate_caches()

import settings
from db import database, fitness, migrations
from runtime import logs, process, tracing
from runtime.metrics import multiprocess

# A supervisor may send these to the whole group. In a worker the last two would end it: they are for the master.
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR2)
TRIAL_WITHIN = 60.0  # seconds

if os.getpid() == 1 and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
    # The kernel does not end the first process of a container by itself, and gunicorn hears signals only later.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

try:
    _current = settings.load()
    _current.require("database_url", "redis_url")
    tracing.check(_current)
except settings.SettingsError as _error:
    settings.cannot_start(_error)

wsgi_app = "api.app:create_app()"
bind = _current.bind
workers = _current.web_concurrency
worker_class = "api.http.worker.Worker"
# Above the idle time-out of usual proxies (60 s), or they reuse a connection that we just closed.
keepalive = 75
graceful_timeout = int(_current.shutdown_grace)
# The master kills a worker that says nothing for so long. Uvicorn speaks after half of it, and no more once it stops.
timeout = max(30, 2 * (graceful_timeout + 5))
# Its default is one socket in the home directory, over which two instances would fight.
control_socket_disable = True
# Our own lines tell of each event and each request.
accesslog = None
logger_class = "api.http.worker.Logger"


def on_starting(_server: Any) -> None:
    """Refuse to serve on a database that is away or has another schema."""
    if _current.exposed:
        log = logs.get("api")
        log.warning("auth.off", bind=_current.bind, meaning="whoever can reach this address may send")
    _check_database()


def when_ready(server: Any) -> None:
    """Look at new code before the running one is given up."""
    signal.signal(signal.SIGHUP, partial(_reload, server))


def on_reload(server: Any) -> None:
    """Give the new workers a logger of the new code as well."""
    server.log = server.cfg.logger_class(server.cfg)


def post_fork(_server: Any, worker: Any) -> None:
    """A worker does not outlive a master that was killed, and hears a stop even while it boots."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    process.die_with_parent(worker.ppid)
    multiprocess.share(_current.metrics_dir, worker.ppid, "api")


def post_worker_init(_worker: Any) -> None:
    """From here on the worker hears signals: until uvicorn serves, and once it has stopped, a stop ends the process."""
    process.collect_seldom()
    for number in (signal.SIGHUP, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, lambda *_: sys.exit(0))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def _check_database() -> None:
    try:
        database.bind(_current)
        migrations.check_start()
        # Or every worker would inherit it.
        database.database.close()
    except (settings.SettingsError, fitness.Unfit, database.Unavailable) as error:
        settings.cannot_start(error)


def _reload(server: Any, number: int, frame: Any) -> None:
    """Have gunicorn replace its workers if the code that is installed now would start; else keep those that run.

    By itself gunicorn ends when new workers cannot boot.
    """
    if not server.LISTENERS:  # It is stopping, which the trial would hold up.
        return
    command = [sys.executable, "-P", *sys.argv, "--check-config"]
    try:
        subprocess.run(command, check=True, timeout=TRIAL_WITHIN, stdin=subprocess.DEVNULL)  # noqa: S603 - our own words
    except (OSError, subprocess.SubprocessError) as error:
        logs.get("api").error("reload.refused", error=str(error), meaning="the processes that run go on")
    else:
        server.signal(number, frame)


if "--check-config" in sys.argv:
    importlib.import_module(worker_class.rpartition(".")[0])  # gunicorn itself tries only the application
    _check_database()
