"""Workers that are killed by a notification, that are killed repeatedly, or whose clock is wrong."""

from __future__ import annotations

import os
import signal
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from tests.acceptance.troubles import POISON
from tests.acceptance.world import World
from tests.eventually import eventually, outlast
from tests.queries import Tally
from tests.smtp import Hang, Reply, SmtpServer
from tests.system import System

pytestmark = pytest.mark.long

POISONED = "tests.acceptance.poisoned"  # its workers die of a notification to POISON
# A lost worker is missed after a second: here many are lost.
SOON = {"worker_timeout": 1.0, "upkeep_interval": 0.2, "retry_max_backoff": 0.6}


@pytest.fixture
def world(database_url: str, redis_url: str, mail_server: SmtpServer, tmp_path: Path) -> Iterator[World]:
    """gunicorn alone, on a database of its own."""
    system = System(tmp_path, database_url=database_url, redis_url=redis_url, smtp_url=mail_server.url, **SOON)
    try:
        system.start_api()
        yield World(system, mail_server)
    finally:
        # Nothing of theirs is looked at after this.
        for group in [*system.workers, *([system.api] if system.api else [])]:
            group.kill()


def wait_for_all_under_a_supervisor(system: System, ids: Collection[int]) -> None:
    """Wait until every notification has ended; replace workers that died of one."""

    def ended() -> bool:
        if not system.workers[-1].running:
            system.spawn_workers(module=POISONED)
        return not system.sql.unfinished(list(ids))

    eventually(ended, within=60, saying=lambda: system.sql.unfinished(list(ids)))


def test_a_notification_that_kills_its_worker_fails_after_five_attempts_and_the_rest_is_delivered(world: World) -> None:
    world.system.start_workers(module=POISONED)
    before = world.post(20)
    poison = world.post_one(POISON)
    others = before | world.post(40)

    wait_for_all_under_a_supervisor(world.system, [poison, *others])
    notification = world.system.client.notification(poison)
    assert (notification["status"], notification["failureReason"]) == ("failed", "exhausted")
    assert [attempt["outcome"] for attempt in world.system.client.attempts(poison)] == ["lost"] * 5
    assert world.mail_server.mails_to(POISON) == []
    tally = world.tally(others)
    assert (tally.delivered, tally.recorded, tally.stuck) == (60, 60, 0)


def test_mails_that_are_slow_to_send_beside_one_that_kills_its_worker_are_delivered(world: World) -> None:
    world.mail_server.delay = 0.1
    others = world.post(4)
    poison = world.post_one(POISON)
    others |= world.post(4)
    world.system.start_workers(module=POISONED)

    wait_for_all_under_a_supervisor(world.system, [poison, *others])
    # Each time the worker dies, it holds all that are in the middle of a conversation with the mail server.
    lost = world.system.sql.rows("SELECT notification_id, count(*) FROM attempts WHERE outcome = 'lost' GROUP BY 1")
    assert {id: count for id, count in lost if id == poison or count > 2} == {poison: 5}
    tally = world.tally(others)
    assert (tally.recorded, tally.stuck) == (8, 0)


def test_notifications_held_when_uncertain_are_never_sent_twice_when_workers_are_killed(world: World) -> None:
    world.mail_server.delay = 0.02
    accepted = world.post(300, onUncertain="hold")
    for _ in range(3):
        world.mail_server.on("dot", Hang())
        group = world.system.start_workers(smtp_url=f"{world.mail_server.url}?connections=4")
        eventually(lambda: world.mail_server.hanging == 1)
        outlast(0.5)
        group.kill()
        # Until the server has read what the killed group had sent, the next Hang could meet that.
        eventually(lambda: world.mail_server.admitted == 0)
    world.mail_server.delay = 0.0
    world.system.start_workers()
    tally = world.tally(accepted)
    failed = world.system.sql.rows(
        "SELECT failure_reason, count(*) FROM notifications WHERE status = 'failed' GROUP BY failure_reason"
    )
    assert (tally.twice, tally.stuck) == (0, 0)
    assert failed == [("outcome-unknown", 300 - tally.recorded)]
    # At most one mail on the wire, and one whose record was under way, for each connection of each that was killed.
    assert 3 <= 300 - tally.recorded <= 3 * 4 * 2
    assert tally.delivered >= tally.recorded


@pytest.mark.parametrize("off_by", [300, -300], ids=["ahead", "behind"])
def test_a_worker_with_a_wrong_clock_sends_nothing_early_and_leaves_nothing_behind(world: World, off_by: int) -> None:
    world.system.start_workers(module="tests.acceptance.skewed", clock_off_by=off_by)
    world.system.start_workers()
    recipients = list(world.recipients(10))
    for recipient in recipients:
        world.mail_server.on("rcpt", Reply(451, "4.2.1 come back later"), to=recipient)
    deferred = {world.post_one(recipient): recipient for recipient in recipients}
    tally = world.tally(deferred | world.post(100))
    assert tally == Tally(accepted=110, delivered=110, twice=0, recorded=110, stuck=0, attempts=120)
    early = world.system.sql.rows(
        "SELECT count(*) FROM attempts AS a JOIN attempts AS b USING (notification_id)"
        " WHERE a.number = 1 AND b.number = 2 AND b.started_at < a.finished_at + interval '0.3 s'"
    )
    assert early == [(0,)]


def test_the_siblings_of_a_killed_worker_process_stop_in_order_and_a_new_group_continues(world: World) -> None:
    world.mail_server.delay = 0.01
    group = world.system.start_workers(processes=2)
    accepted = world.post(200)
    eventually(lambda: len(world.mail_server.mails) > 10)
    victim = min(world.system.sql.worker_pids() & set(group.members))
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: not group.members, within=20)
    world.system.start_workers()
    assert_delivered(world, accepted, killed_threads=4)


def test_no_worker_process_continues_when_its_dramatiq_master_is_killed(world: World) -> None:
    world.mail_server.delay = 0.01
    group = world.system.start_workers(processes=2)
    accepted = world.post(200)
    eventually(lambda: len(world.mail_server.mails) > 10)
    group.signal(signal.SIGKILL)
    eventually(lambda: not group.members)
    assert len(world.mail_server.mails) < 200
    world.system.start_workers()
    assert_delivered(world, accepted, killed_threads=8)


def assert_delivered(world: World, accepted: dict[int, str], killed_threads: int) -> None:
    """Everything arrived, and twice only what nobody can know of: two mails for each thread that was killed."""
    tally = world.tally(accepted)
    assert (tally.delivered, tally.recorded, tally.stuck) == (200, 200, 0)
    assert tally.twice <= 2 * killed_threads
