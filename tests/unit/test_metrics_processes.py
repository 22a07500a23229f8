"""Numbers of many processes: added up, kept when a process dies, and served whatever happens to their directory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from runtime.metrics.directory import locked
from tests.processes import ROOT
from tests.scrapes import Scrape

pytestmark = pytest.mark.long

COUNTS = """
import os, shutil, signal, sys
import settings
from runtime import logs, metrics
from runtime.metrics import multiprocess, process_stats
directory, then, *numbers = sys.argv[1:]
logs.configure(settings.read({}))
process_stats.EVERY = 3600
if then == "late":
    import prometheus_client
if then == "impatient":
    multiprocess.WITHIN = 0.1
if then == "full":
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
multiprocess.share(directory, os.getppid(), "worker")
if then == "gone":
    shutil.rmtree(directory)
for number in numbers:
    metrics.retries["normal", "email"].inc()
    metrics.waits["claim"].observe(float(number))
if then == "again":
    program = open("/proc/self/cmdline").read().split("\\0")[2]
    os.execv(sys.executable, [sys.executable, "-c", program, directory, "", "1"])
if then == "full after":
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
if then == "wait":
    print("counted", flush=True)
    signal.pause()
from runtime.metrics import exposition
sys.stdout.buffer.write(exposition.page(False, False).body)
"""


class Ran(NamedTuple):
    """Metrics that an ended process has read, and its log."""

    seen: Scrape
    log: str


def command(directory: str | Path, then: str, numbers: tuple[float, ...]) -> list[str]:
    return [sys.executable, "-c", COUNTS, str(directory), then, *map(str, numbers)]


def ran(directory: str | Path, *numbers: float, then: str = "", **environ: str) -> Ran:
    """Run a process that counts these numbers and then reads the metrics."""
    called = command(directory, then, numbers)
    environ |= {"PATH": os.environ["PATH"]}
    done = subprocess.run(called, cwd=ROOT, env=environ, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return Ran(Scrape(done.stdout.decode()), done.stderr.decode())


def run(directory: str | Path, *numbers: float, then: str = "", **environ: str) -> Scrape:
    return ran(directory, *numbers, then=then, **environ).seen


@contextmanager
def running(directory: Path, *numbers: float) -> Iterator[subprocess.Popen[str]]:
    """Yield a process that has counted these numbers and lives on."""
    started = subprocess.Popen(
        command(directory, "wait", numbers), cwd=ROOT, env={"PATH": os.environ["PATH"]}, stdout=-1, text=True
    )
    try:
        assert started.stdout is not None
        assert started.stdout.readline() == "counted\n"
        yield started
    finally:
        started.kill()
        started.communicate()


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_counts_of_dead_processes_are_kept(tmp_path: Path) -> None:
    assert run(tmp_path, 0.002).sum("notify_retries_total") == 1
    assert run(tmp_path, 0.002, 100).sum("notify_retries_total") == 3
    seen = run(tmp_path)

    assert seen.sum("notify_retries_total") == 3
    assert seen.sum("notify_wait_seconds_count", stage="claim") == 3
    assert seen.sum("notify_wait_seconds_bucket", stage="claim", le="10.0") == 2
    assert seen.sum("notify_wait_seconds_sum") == pytest.approx(100.004)


def test_counts_of_live_processes_are_added_up(tmp_path: Path) -> None:
    with running(tmp_path, 1, 1), running(tmp_path, 1):
        seen = run(tmp_path, 1)

    assert seen.sum("notify_retries_total") == 4
    assert seen.sum("notify_processes", program="worker") == 3


def test_the_counts_of_a_killed_process_stay_and_the_process_is_not_counted_as_alive(tmp_path: Path) -> None:
    with running(tmp_path, 1, 1) as first, running(tmp_path, 1) as second:
        kill(first)
        after = run(tmp_path)
        assert after.sum("notify_retries_total") == 3
        assert after.sum("notify_processes") == 2  # `second`, and the one that reads
        kill(second)
    restarted = run(tmp_path, 1)

    assert restarted.sum("notify_retries_total") == 4
    assert restarted.sum("notify_processes") == 1
    assert list(restarted.fallen(after)) == []


def test_gauges_and_files_of_dead_processes_are_removed(tmp_path: Path) -> None:
    for _ in range(3):
        assert run(tmp_path, 1).sum("notify_processes") == 1
        assert len(list(tmp_path.glob("*.db"))) <= 2 + 3  # nobody's, and its own


def test_processes_that_start_and_merge_at_the_same_time_count_nothing_twice(tmp_path: Path) -> None:
    with ExitStack() as stack:
        for victim in [stack.enter_context(running(tmp_path, 1, 2)) for _ in range(3)]:
            kill(victim)
        with ThreadPoolExecutor(4) as pool:
            seen = list(pool.map(lambda _: run(tmp_path), range(4)))

    assert [scrape.sum("notify_retries_total") for scrape in seen] == [6] * 4
    assert {scrape.sum("notify_wait_seconds_sum", stage="claim") for scrape in seen} == {9}


def test_a_new_process_with_the_pid_of_a_dead_one_adds_to_its_counts(tmp_path: Path) -> None:
    seen = run(tmp_path, 1, 1, then="again")  # exec keeps the pid

    assert seen.sum("notify_retries_total") == 3
    assert seen.sum("notify_processes") == 1


def test_a_process_whose_directory_was_removed_still_reports_its_counts(tmp_path: Path) -> None:
    seen = run(tmp_path / "shared", 1, 1, then="gone")

    assert seen.sum("notify_retries_total") == 2
    assert seen.sum("notify_wait_seconds_count", stage="claim") == 2


def test_the_processes_of_one_command_share_a_directory(tmp_path: Path) -> None:
    assert run("", 1, TMPDIR=str(tmp_path)).sum("notify_retries_total") == 1
    assert run("", 1, TMPDIR=str(tmp_path)).sum("notify_retries_total") == 2
    [directory] = tmp_path.iterdir()
    assert directory.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/self/fdinfo", "/proc/self/no"])
def test_without_a_usable_directory_a_process_logs_it_once_and_counts_alone(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    seen, log = ran(tmp_path / place, 1)

    assert seen.sum("notify_retries_total") == 1
    assert log.count("\n") == log.count("metrics.not_shared") == log.count("set METRICS_DIR to a directory") == 1


def test_on_a_full_disk_a_process_logs_it_once_and_counts_alone(tmp_path: Path) -> None:
    seen, log = ran(tmp_path, 1, then="full")

    assert seen.sum("notify_retries_total") == 1
    assert log.count("\n") == log.count("metrics.not_shared") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
    assert run(tmp_path, 1).sum("notify_retries_total") == 1


def test_when_the_disk_becomes_full_the_files_of_dead_processes_are_read_unmerged(tmp_path: Path) -> None:
    with running(tmp_path, 1, 1) as first, running(tmp_path, 1) as second:
        pass
    assert first.returncode
    assert second.returncode
    seen, log = ran(tmp_path, 1)
    assert "metrics" not in log
    with running(tmp_path, 1) as third:
        kill(third)
        # The reader merges the others at its start; this one dies while the disk is full.
        full = ran(tmp_path, then="full after")

    assert full.seen.sum("notify_retries_total") == 5
    assert run(tmp_path).sum("notify_retries_total") == 5
    assert seen.sum("notify_retries_total") == 4


def test_importing_prometheus_client_too_early_is_logged(tmp_path: Path) -> None:
    seen, log = ran(tmp_path, 1, then="late")

    assert seen.sum("notify_retries_total") == 1
    assert "prometheus_client was imported before" in log


def test_a_stopped_process_that_holds_the_lock_does_not_block_others(tmp_path: Path) -> None:
    with locked(tmp_path):
        seen, log = ran(tmp_path, 1, then="impatient")

    assert seen.sum("notify_retries_total") == 1
    assert "another process has held" in log
