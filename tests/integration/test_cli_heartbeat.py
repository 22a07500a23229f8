"""`notify heartbeat`, as the probe of a container runs it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result

from cli.main import notify
from db import workers
from db.database import bind, database, rows
from db.workers import Heartbeat
from settings import Settings
from tests.environment import configured

pytestmark = pytest.mark.usefixtures("store")
Run = Callable[..., Result]
SILENT = "UPDATE workers SET seen_at = now() - interval '31 seconds'"


@pytest.fixture
def run(store: Settings) -> Run:
    """The command with these settings; this thread's connection is open again afterwards."""

    def heartbeat(*words: str, **values: object) -> Result:
        database.close()
        with configured(**{"database_url": store.database.url, **values}):
            result = CliRunner().invoke(notify, ["heartbeat", *words])
        bind(store.database)
        database.connect(reuse_if_open=True)
        return result

    return heartbeat


@pytest.fixture
def ended() -> int:
    """The pid of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def report(pid: int, host: str = "") -> None:
    workers.seen(Heartbeat(uuid4(), host or socket.gethostname(), pid, 8), 30)


def test_workers_with_a_recent_heartbeat_are_healthy(run: Run) -> None:
    report(os.getpid())
    result = run()
    assert (result.exit_code, result.stdout) == (0, "Worker processes that reported within 30 seconds: 1\n")


def test_a_process_without_a_heartbeat_is_unhealthy_beside_healthy_ones(run: Run) -> None:
    report(os.getppid())
    rows(SILENT)
    report(os.getpid())
    result = run()
    assert (result.exit_code, result.stderr) == (
        1,
        f"Error: No report for 30 seconds (WORKER_TIMEOUT): process {os.getppid()}\n",
    )
    assert run(worker_timeout=60).exit_code == 0


def test_a_reused_pid_is_judged_by_its_latest_worker(run: Run) -> None:
    report(os.getpid())
    rows(SILENT)
    report(os.getpid())
    assert run().exit_code == 0


def test_ended_workers_and_those_of_other_machines_are_ignored(run: Run, ended: int) -> None:
    report(ended)
    rows(SILENT)
    report(os.getpid(), host="elsewhere")
    result = run()
    assert (result.exit_code, "No worker process of" in result.stderr) == (1, True)
    report(os.getpid())
    assert run().exit_code == 0


def test_no_worker_is_reported_while_the_database_does_not_answer(run: Run) -> None:
    result = run("--json", database_url="postgresql://u:hunter2@127.0.0.1:9/d")
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"database": "unavailable"})
    assert "hunter2" not in run(database_url="postgresql://u:hunter2@127.0.0.1:9/d").output


def test_json_output_lists_every_process(run: Run) -> None:
    report(os.getpid())
    assert json.loads(run("--json").stdout) == {"database": "ok", "workers": {str(os.getpid()): True}}
