"""The start, stop and death of a child program, with shell commands as programs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.servers import StartError, leftover, program
from cli.servers.program import Program, StopRequests
from tests.eventually import eventually


class Shell(Program):
    """Runs a line of shell; ready when the file `up` is there."""

    name = "shell"
    start_within = 10.0
    grace = 10.0

    def __init__(self, line: str, place: Path, stop_requests: StopRequests | None = None) -> None:
        super().__init__(stop_requests, place / "shell.log")
        self._line = line
        self._place = place

    def command(self) -> list[str]:
        return ["/bin/sh", "-c", self._line]

    def directory(self) -> Path:
        return self._place

    def ready(self) -> bool:
        return (self._place / "up").exists()


class InAHurry(StopRequests):
    @property
    def hurried(self) -> bool:
        return True


def test_a_start_returns_when_the_program_is_ready_and_a_stop_when_it_has_ended(tmp_path: Path) -> None:
    shell = Shell("trap 'exit 0' TERM; touch up; while :; do sleep 0.01; done", tmp_path)

    shell.start()

    assert shell.alive
    assert shell.stop() == "exit code 0"
    assert not shell.alive


def test_a_program_that_ends_too_early_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    shell = Shell("echo disk is full >&2; exit 3", tmp_path)

    with pytest.raises(StartError) as failed:
        shell.start()

    assert str(failed.value) == (
        f"shell ended before it was ready (exit code 3); the end of {tmp_path}/shell.log:\ndisk is full"
    )


def test_a_program_that_never_gets_ready_is_killed(tmp_path: Path) -> None:
    shell = Shell("exec sleep 60", tmp_path)
    shell.start_within = 0.1

    with pytest.raises(StartError, match=r"shell was not ready within 0\.1 s"):
        shell.start()

    assert not shell.alive


def test_a_program_that_cannot_be_run_is_reported(tmp_path: Path) -> None:
    shell = Shell("", tmp_path)
    shell.command = lambda: ["/nonexistent/program"]  # type: ignore[method-assign]

    with pytest.raises(StartError, match="cannot run /nonexistent/program: No such file or directory"):
        shell.start()


@pytest.mark.parametrize("stop_requests", [StopRequests(), InAHurry()])
def test_a_program_that_does_not_listen_is_killed_with_all_that_it_started(
    tmp_path: Path, stop_requests: StopRequests
) -> None:
    shell = Shell("trap '' TERM; sleep 60 & echo $! > child; touch up; wait", tmp_path, stop_requests)
    shell.grace = 10.0 if stop_requests.hurried else 0.1
    shell.start()
    child = int((tmp_path / "child").read_text())

    assert shell.stop() == "SIGKILL"
    eventually(lambda: not _runs(child), within=20)


def test_processes_left_by_a_dead_leader_end_before_the_next_start(tmp_path: Path) -> None:
    shell = Shell("sleep 60 & echo $! >> children; touch up; wait", tmp_path)
    shell.start()
    os.kill(shell.pid, signal.SIGKILL)
    eventually(lambda: not shell.alive)

    shell.start()

    orphan, *_ = (int(line) for line in (tmp_path / "children").read_text().split())
    eventually(lambda: not _runs(orphan), within=20)
    shell.kill()


def test_a_stop_signal_is_sent_once(tmp_path: Path) -> None:
    shell = Shell("trap 'echo x >> asked' TERM; touch up; while ! test -e end; do sleep 0.01; done", tmp_path)
    shell.start()

    shell.ask()
    shell.ask()
    eventually((tmp_path / "asked").exists)
    (tmp_path / "end").touch()
    shell.stop()

    assert (tmp_path / "asked").read_text() == "x\n"


def test_a_child_ends_with_its_parent_and_gets_no_ctrl_c_of_the_terminal(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from tests.unit.test_cli_program import Shell;"
        f"shell = Shell('touch up; exec sleep 60', Path({str(tmp_path)!r})); shell.start();"
        "print(shell.pid, os.getsid(shell.pid), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child, session = map(int, parent.stdout.readline().split())
        parent.kill()

    assert session == child
    eventually(lambda: not _runs(child), within=20)


def test_a_large_log_is_started_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "LOG_LIMIT", 100)
    log = tmp_path / "shell.log"
    log.write_text("old\n" * 100)

    with pytest.raises(StartError):
        Shell("echo new; exit 1", tmp_path).start()

    assert log.read_text() == "new\n"


def test_a_pidfile_with_the_pid_of_a_foreign_process_is_removed(tmp_path: Path) -> None:
    pidfile = tmp_path / "server.pid"
    pidfile.write_text(f"{os.getpid()}\nmore\n")

    leftover.clear(pidfile, tmp_path, StopRequests())

    assert not pidfile.exists()


@pytest.mark.parametrize("text", ["", "x\n", "-5\n", "0\n", f"{2**22 + 7}\n"])
def test_a_pidfile_without_a_process_is_kept(tmp_path: Path, text: str) -> None:
    pidfile = tmp_path / "server.pid"
    pidfile.write_text(text)

    leftover.clear(pidfile, tmp_path, StopRequests())

    assert pidfile.exists()


def test_an_orphan_that_uses_the_data_is_ended_before_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftover, "GRACE", 0.2)
    orphan = subprocess.Popen(["/bin/sh", "-c", "trap '' INT; touch up; while :; do sleep 1; done"], cwd=tmp_path)
    eventually((tmp_path / "up").exists)
    pidfile = tmp_path / "server.pid"
    pidfile.write_text(f"{orphan.pid}\n")

    leftover.clear(pidfile, tmp_path, StopRequests())

    assert orphan.wait(5) == -signal.SIGKILL


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
