"""Stop signals as supervisors send them: to the whole process group, repeatedly, mixed, and while booting."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from tests.acceptance.conftest import NewWorld
from tests.acceptance.world import World
from tests.eventually import eventually, outlast
from tests.load import Load
from tests.processes import Group
from tests.queries import Tally

pytestmark = pytest.mark.long

HELD = 1.0  # seconds that the mail server takes for one mail
MANY = 12


@pytest.fixture(scope="module")
def world(new_world: NewWorld) -> World:
    """A running API. The workers that a test leaves are those that the next one signals."""
    world = new_world()
    world.system.start_api()
    return world


def sending(world: World, processes: int = 1) -> tuple[Group, dict[int, str]]:
    """Return a group of workers once it is in the middle of several mails, with what was posted."""
    if processes == 1:
        world.system.only_workers(1)
    else:
        world.system.only_workers(0)
        world.system.start_workers(processes)
    group = world.system.workers[-1]
    world.mail_server.delay = HELD
    accepted = world.post(MANY)
    claimed = "SELECT count(*) >= 3 FROM notifications WHERE id = ANY(%s) AND status = 'processing'"
    eventually(lambda: world.system.sql.rows(claimed, list(accepted)) == [(True,)], every=0.05)
    return group, accepted


def restarted(world: World) -> Group:
    """Stop the workers, and replace the API by one of two processes that have booted."""
    world.system.only_workers(0)
    assert world.system.api is not None
    world.system.api.stop()
    api = world.system.start_api(processes=2)
    eventually(lambda: len(api.members) > 2)
    return api


def ended(group: Group) -> int:
    """Wait until a group has ended without another signal, and return its exit code."""
    eventually(lambda: not group.members, within=20, saying=group.log.read_text)
    return group.stop()


def twice(first: int, second: int, pause: float) -> Callable[[Group], None]:
    """Signal the whole group, and again after a pause in seconds."""

    def deliver(group: Group) -> None:
        group.signal_all(first)
        outlast(pause)
        group.signal_all(second)

    return deliver


STOPS: dict[str, Callable[[Group], None]] = {
    "SIGTERM to the group": lambda group: group.signal_all(signal.SIGTERM),
    "SIGINT to the group": lambda group: group.signal_all(signal.SIGINT),
    "SIGTERM twice": twice(signal.SIGTERM, signal.SIGTERM, 0.05),
    "SIGTERM and half a second later SIGTERM": twice(signal.SIGTERM, signal.SIGTERM, 0.5),
    "SIGTERM, then SIGINT": twice(signal.SIGTERM, signal.SIGINT, 0.05),
    "SIGINT, then SIGTERM": twice(signal.SIGINT, signal.SIGTERM, 0.05),
    "SIGHUP, then SIGTERM": twice(signal.SIGHUP, signal.SIGTERM, 0.05),
}


@pytest.mark.parametrize("stop", STOPS.values(), ids=STOPS)
def test_repeated_stop_signals_are_one_stop(world: World, stop: Callable[[Group], None]) -> None:
    group, accepted = sending(world)
    stop(group)
    assert ended(group) == 0, world.system.logs()
    assert world.system.sql.statuses(list(accepted))["processing"] == 0
    world.mail_server.delay = 0.0
    world.system.start_workers()
    assert world.tally(accepted) == Tally.perfect(MANY)


def test_sighup_to_the_group_restarts_the_workers_without_sending_twice(world: World) -> None:
    group, accepted = sending(world)
    before = world.system.sql.worker_pids()
    group.signal_all(signal.SIGHUP)
    world.mail_server.delay = 0.0
    assert world.tally(accepted) == Tally.perfect(MANY)
    eventually(lambda: set(group.members) & (world.system.sql.worker_pids() - before), saying=world.system.logs)
    assert group.running


def test_a_sigterm_to_one_worker_process_stops_the_whole_group_in_order(world: World) -> None:
    group, accepted = sending(world, processes=2)
    worker = next(pid for pid in group.members if pid in world.system.sql.worker_pids())
    os.kill(worker, signal.SIGTERM)
    os.kill(worker, signal.SIGTERM)
    eventually(lambda: not group.running, within=20, saying=world.system.logs)
    assert not group.members
    assert world.system.sql.statuses(list(accepted))["processing"] == 0
    world.mail_server.delay = 0.0
    world.system.start_workers()
    assert world.tally(accepted) == Tally.perfect(MANY)


@pytest.mark.parametrize("booted", [0.0, 0.3, 0.8])
def test_a_stop_of_the_group_while_it_boots_ends_it(world: World, booted: float) -> None:
    world.system.only_workers(0)
    accepted = world.post(MANY)
    group = world.system.spawn_workers(2)
    eventually(lambda: len(group.members) > 1)
    outlast(booted)
    group.signal_all(signal.SIGTERM)
    group.signal_all(signal.SIGTERM)
    # Until its workers have started, or 30 s have passed, Dramatiq's master hears no signal.
    eventually(lambda: not group.members, within=45, saying=world.system.logs)
    world.system.workers.clear()
    assert world.system.sql.statuses(list(accepted))["processing"] == 0
    world.system.start_workers()
    assert world.tally(accepted) == Tally.perfect(MANY)


def test_sigquit_stops_at_once(world: World) -> None:
    group, accepted = sending(world)
    began = group.log.stat().st_size
    group.signal_all(signal.SIGTERM)
    group.signal(signal.SIGQUIT)
    eventually(lambda: not group.members)
    assert "worker.stopped" not in group.log.read_text()[began:]
    world.mail_server.delay = 0.0
    world.system.start_workers()
    tally = world.tally(accepted)
    assert (tally.delivered, tally.recorded, tally.stuck) == (MANY, MANY, 0)


def test_sigterm_to_the_group_of_the_api_loses_no_answered_request(world: World) -> None:
    api = restarted(world)
    load = Load(world.system.port, world.recipients(), connections=8).start()
    eventually(lambda: len(load.accepted) > 100)
    api.signal_all(signal.SIGTERM)
    api.signal_all(signal.SIGTERM)
    assert ended(api) == 0, world.system.logs()
    load.stop()
    stored = world.system.sql.rows("SELECT id FROM notifications WHERE id >= %s", min(load.accepted))
    assert {(id,) for id in load.accepted} == set(stored)
    assert not [refusal for refusal in load.refused if refusal[0].isdigit()]
    world.system.start_api()
    world.system.start_workers()
    assert world.tally(load.accepted) == Tally.perfect(len(load.accepted))


def test_other_signals_to_api_processes_break_no_request(world: World) -> None:
    api = restarted(world)
    workers = set(api.members) - {api.pid}
    load = Load(world.system.port, world.recipients(), connections=8).start()
    for number in [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH] * 3:
        enough = len(load.accepted) + 50
        eventually(lambda: len(load.accepted) >= enough, saying=lambda: load.refused[-3:])  # noqa: B023
        for pid in workers:
            os.kill(pid, number)
        assert load.refused == [], number.name
    load.stop()
    assert load.refused == []
    assert workers <= set(api.members)
