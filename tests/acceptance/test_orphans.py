"""No process outlives the one that started it, however early that one was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runtime import process
from tests.acceptance.conftest import NewWorld
from tests.acceptance.world import World
from tests.eventually import eventually, outlast
from tests.processes import Group

pytestmark = pytest.mark.long

WITHIN = 5.0  # seconds after the death of the master


@pytest.fixture(scope="module")
def world(new_world: NewWorld) -> World:
    """The database and the Redis that the processes of these tests use."""
    return new_world()


def killed(group: Group, after: float, children: int) -> None:
    """SIGKILL the leader alone, so long after it has started its children, and wait for the end of all others."""
    eventually(lambda: len(group.members) > children, within=20, every=0.005)
    outlast(after)
    os.kill(group.pid, signal.SIGKILL)
    try:
        eventually(lambda: not set(group.members) - {group.pid}, WITHIN, saying=group.log.read_text)
    finally:
        group.kill()


@pytest.mark.parametrize("after", [0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0])
def test_no_worker_outlives_a_master_that_was_killed_after(after: float, world: World) -> None:
    killed(world.system.spawn_workers(2), after, children=2)


@pytest.mark.parametrize("after", [0.0, 0.3, 1.0])
def test_no_spawned_worker_outlives_a_master_that_was_killed_after(after: float, world: World) -> None:
    command = ["dramatiq", "actors", "--use-spawn", "-p", "1", "-t", "2"]
    log = world.system.directory / "spawned.log"
    killed(Group(command, world.system.environ, log, world.system.root), after, children=2)


@pytest.mark.parametrize("after", [0.0, 0.1, 0.3, 0.6])
def test_no_api_process_outlives_a_master_that_was_killed_after(after: float, world: World) -> None:
    environ = world.system.environ | {"WEB_CONCURRENCY": "2"}
    log = world.system.directory / "api.log"
    killed(Group(["gunicorn"], environ, log, world.system.root), after, children=2)


CHILD = """
import os, sys, time
from runtime import process
sys.platform = sys.argv[1]
process.PARENT_EVERY = 0.1
process.die_with_parent(int(sys.argv[2]))
print(os.getpid(), flush=True)
time.sleep(60)
"""
PARENT = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[2], str(os.getpid())])
time.sleep(60)
"""


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_a_child_ends_after_its_parent_with_and_without_parent_death_signals(platform: str) -> None:
    environ = os.environ | {"PYTHONPATH": str(Path(process.__file__).parents[1])}
    command = [sys.executable, "-c", PARENT, CHILD, platform]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
        # The pipe ends when the last process that holds it does.
        assert parent.stdout.read() == b""
    eventually(lambda: not Path(f"/proc/{child}/exe").exists(), WITHIN)


MASTER = """
import multiprocessing, os, sys, time
from runtime import process

def work():
    assert process.die_with_master() == multiprocessing.parent_process().pid
    os.write(1, b"%d\\n" % os.getpid())  # one write: print() makes two, and two children may interleave them
    time.sleep(60)

if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    for _ in range(2):
        multiprocessing.Process(target=work).start()
    time.sleep(60)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_end_after_their_master_with_fork_and_spawn(method: str, tmp_path: Path) -> None:
    (tmp_path / "master.py").write_text(MASTER)
    environ = os.environ | {"PYTHONPATH": str(Path(process.__file__).parents[1])}
    command = [sys.executable, str(tmp_path / "master.py"), method]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environ) as master:
        assert master.stdout is not None
        children = [int(master.stdout.readline()) for _ in range(2)]
        assert all(Path(f"/proc/{child}/exe").exists() for child in children)
        master.kill()
        assert master.stdout.read() == b""
    eventually(lambda: not any(Path(f"/proc/{child}/exe").exists() for child in children), WITHIN)


def test_a_child_that_starts_after_its_parent_ended_ends_at_once() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    late = [sys.executable, "-c", CHILD, "linux", str(gone.pid)]
    environ = os.environ | {"PYTHONPATH": str(Path(process.__file__).parents[1])}
    assert subprocess.run(late, env=environ, timeout=240, check=False).returncode == -signal.SIGKILL
