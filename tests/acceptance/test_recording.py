"""Outcomes that cannot be recorded for a while, and workers with different settings: no mail goes out twice."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.acceptance.conftest import NewWorld
from tests.acceptance.world import World
from tests.eventually import eventually, outlast
from tests.queries import Tally, wait_past_stuck_after
from tests.smtp import Hang

pytestmark = pytest.mark.long

THREADS = 4
HASTY, PATIENT = 3, 30  # seconds: WORKER_TIMEOUT


@pytest.fixture(scope="module")
def world(new_world: NewWorld) -> World:
    """The API; each test starts its workers."""
    world = new_world()
    world.system.start_api()
    return world


def received(world: World) -> set[str]:
    """Return the recipients for whom the mail server has mails."""
    return {to for mail in world.mail_server.mails for to in mail.recipients}


@contextmanager
def refused(world: World, condition: str) -> Iterator[None]:
    """Each attempt's record is refused with this condition of PostgreSQL."""
    run = world.system.sql.rows
    run(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" RAISE {condition} USING MESSAGE = 'refused by a test'; END $$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON attempts EXECUTE FUNCTION refuse(); SELECT 1"
    )
    try:
        yield
    finally:
        run("DROP FUNCTION refuse CASCADE; SELECT 1")


@pytest.mark.parametrize("condition", ["insufficient_privilege", "raise_exception"])
def test_mails_that_cannot_be_recorded_for_longer_than_stuck_after_are_sent_once(world: World, condition: str) -> None:
    world.system.only_workers(2)
    world.mail_server.delay = 0.02
    with refused(world, condition):
        accepted = world.post(60)
        eventually(lambda: len(world.mail_server.mails) > THREADS, within=30)
        wait_past_stuck_after(world.system.sql.rows)
        assert len(world.mail_server.mails) <= 2 * THREADS * 2  # no more than each thread may be ahead
        kept = world.system.sql.rows("SELECT sum(cardinality(unrecorded)) FROM workers")
        assert kept[0][0] == len(world.mail_server.mails)
    tally = world.tally(accepted, within=60)
    assert (tally.delivered, tally.twice, tally.recorded, tally.stuck) == (60, 0, 60, 0)


def test_a_worker_that_is_killed_while_it_keeps_outcomes_loses_no_notification(world: World) -> None:
    world.system.only_workers(2)
    with refused(world, "insufficient_privilege"):
        accepted = world.post(20)
        eventually(lambda: len(world.mail_server.mails) > 1)
        for group in world.system.workers:
            group.kill()
    world.system.only_workers(2)
    tally = world.tally(accepted, within=60)
    assert (tally.delivered, tally.recorded, tally.stuck) == (20, 20, 0)


@pytest.mark.parametrize("signals", [1, 2])
def test_a_worker_that_must_stop_says_which_outcomes_it_could_not_record(world: World, signals: int) -> None:
    world.system.only_workers(0)
    group = world.system.start_workers(threads=THREADS, shutdown_grace=2)
    begun = group.log.stat().st_size
    with refused(world, "insufficient_privilege"):
        accepted = world.post(40)
        eventually(lambda: len(world.mail_server.mails) > 1, within=30)
        for _ in range(signals):
            group.signal_all(signal.SIGTERM)
        eventually(lambda: not group.members, within=30, saying=group.log.read_text)
        sent = {id for id, to in accepted.items() if to in received(world)}
        log = group.log.read_text()[begun:].splitlines()
        lines = [json.loads(line) for line in log if "outcome.not_recorded" in line]
        assert {id for line in lines for id in line["ids"]} == sent
    world.system.start_workers()
    tally = world.tally(accepted, within=60)
    assert (tally.delivered, tally.recorded, tally.stuck) == (40, 40, 0)
    assert tally.twice <= len(sent)


def test_a_worker_with_a_short_timeout_does_not_rescue_from_one_with_a_long_timeout(world: World) -> None:
    world.system.only_workers(0)
    world.system.start_workers(worker_timeout=PATIENT, upkeep_interval=14)
    world.mail_server.on("dot", Hang(), times=THREADS)
    accepted = world.post(THREADS)
    eventually(lambda: world.mail_server.hanging == THREADS)
    world.system.start_workers(worker_timeout=HASTY)
    more = world.post(100)
    outlast(4 * HASTY + 2)
    world.mail_server.release()
    assert world.tally({**accepted, **more}, within=60) == Tally.perfect(THREADS + 100)
    world.system.only_workers(0)
