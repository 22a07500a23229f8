"""Mail servers with limits: every mail arrives once, and a limit costs no notification an attempt."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.conftest import NewWorld
from tests.acceptance.world import World
from tests.eventually import eventually, outlast
from tests.queries import Tally
from tests.smtp import Action, Drop, Hang, Limits, Phase, Reply

pytestmark = pytest.mark.long

PROCESSES, THREADS = 2, 8
MANY = 100
SLOW = 0.01  # seconds before each answer, so that mails are under way at the same time
WITHIN = 90.0  # A pool that learns a limit waits for seconds in between.
SETTINGS = {"smtp_connect_timeout": 2, "smtp_timeout": 3, "smtp_connection_idle": 1}
THROTTLING = Reply(454, "Throttling failure: Maximum sending rate exceeded.")
NEVER_OPENED = """UPDATE providers
SET opened_at = NULL, probe_after = NULL, probe_by = NULL, wait = NULL, closed_at = NULL,
    reason = NULL RETURNING 1"""


@pytest.fixture(scope="module")
def running(new_world: NewWorld) -> World:
    """The API; each test has workers of its own, which have learned nothing yet."""
    world = new_world(**SETTINGS)
    world.system.start_api()
    return world


@pytest.fixture
def world(running: World) -> Iterator[World]:
    """System with two worker processes, the documented number of threads, and a breaker that was never open."""
    running.system.sql.rows(NEVER_OPENED)
    running.system.start_workers(PROCESSES, threads=THREADS)
    yield running
    running.system.only_workers(0)
    # What a failed test has left would be sent by the next one's workers.
    running.system.sql.rows("DELETE FROM notifications RETURNING id")


def breakers_opened(world: World) -> list[tuple[str, str]]:
    """Each provider whose breaker has opened since the test began, and why."""
    return [
        (name, reason)
        for name, reason in world.system.sql.rows(
            "SELECT name, reason FROM providers WHERE opened_at IS NOT NULL OR closed_at IS NOT NULL"
        )
    ]


def spent(world: World, accepted: dict[int, str]) -> list[tuple[int, int, str]]:
    """Notifications that lost an attempt, how many, and the last error."""
    sql = "SELECT id, retry_count, last_error FROM notifications WHERE id = ANY(%s) AND retry_count > 0"
    return [(id, count, error) for id, count, error in world.system.sql.rows(sql, list(accepted))]


def assert_nothing_is_lost_spent_or_doubled(world: World, accepted: dict[int, str], within: float = WITHIN) -> None:
    """Wait until all have arrived, each at its first attempt, with the breaker closed all the time."""
    unfinished = world.system.sql.unfinished
    eventually(
        lambda: spent(world, accepted) or not unfinished(list(accepted)),
        within,
        saying=lambda: (len(world.mail_server.mails), unfinished(list(accepted))),
        every=0.1,
    )
    assert spent(world, accepted) == []
    assert world.tally(accepted) == Tally.perfect(len(accepted))
    assert breakers_opened(world) == []
    assert world.dead_letters() == 0


# ---- The server admits so many connections and no more.


@pytest.mark.parametrize(
    ("most", "beyond"),
    [
        (1, Reply(421, "4.7.0 too many connections")),
        (3, Reply(421, "service not available")),
        (4, Reply(554, "no")),
        (3, Drop()),
        (3, Hang()),
    ],
    ids=["one", "421", "554", "closed", "never greeted"],
)
def test_connections_beyond_a_limit_are_refused_and_the_others_carry_all(
    world: World, most: int, beyond: Action
) -> None:
    world.mail_server.delay = SLOW
    world.mail_server.limits = Limits(connections=most, beyond=beyond)
    accepted = world.post(MANY)
    assert_nothing_is_lost_spent_or_doubled(world, accepted)
    assert world.mail_server.peak <= most
    # Some to learn the limit, and some to see whether it is still there.
    assert len(world.mail_server.refusals) < MANY


def test_an_idle_connection_of_one_process_does_not_keep_the_other_out(world: World) -> None:
    world.mail_server.limits = Limits(connections=1)
    accepted: dict[int, str] = {}
    for _ in range(12):
        recipient = world.recipient()
        id = world.post_one(recipient)
        accepted[id] = recipient
        assert world.ended(id, within=30)["status"] == "sent"
    assert_nothing_is_lost_spent_or_doubled(world, accepted)


def test_connections_are_closed_when_there_is_nothing_to_send(world: World) -> None:
    assert world.tally(world.post(MANY)) == Tally.perfect(MANY)
    eventually(lambda: world.mail_server.admitted == 0, within=20, saying=world.system.logs)


def test_a_limit_may_shrink_and_grow_while_mails_are_sent(world: World) -> None:
    world.mail_server.delay = SLOW
    accepted: dict[int, str] = {}
    for most in (8, 2, 1, 5, None):
        world.mail_server.limits = Limits(connections=most)
        accepted |= world.post(MANY // 2)
    assert_nothing_is_lost_spent_or_doubled(world, accepted)


def test_after_an_outage_a_limited_server_gets_the_remaining_mails(world: World) -> None:
    world.mail_server.delay = SLOW
    world.mail_server.limits = Limits(connections=2)
    accepted = world.post(2 * MANY)
    eventually(lambda: len(world.mail_server.mails) > MANY // 2, within=30)
    world.mail_server.stop()
    outlast(3.0)
    world.mail_server.start()
    world.wait_for_the_end(accepted, WITHIN)
    assert world.system.sql.statuses(list(accepted)) == {"sent": len(accepted)}
    count = world.count(accepted)
    # What was cut off between its end and the answer may have been taken.
    doubtful = "SELECT count(*) FROM attempts WHERE outcome = 'uncertain' AND notification_id = ANY(%s)"
    assert (count.delivered, count.stuck) == (len(accepted), 0)
    assert count.twice <= world.system.sql.rows(doubtful, list(accepted))[0][0]


# ---- The server takes so many mails over one connection and no more.

PER_CONNECTION = 10


@pytest.mark.parametrize(
    ("at", "then"),
    [
        ("mail", Reply(452, "4.3.1 insufficient system storage")),
        ("rcpt", Reply(451, "local error in processing")),
        ("data", Reply(554, "transaction failed")),
        ("dot", Reply(452, "4.5.3 too many messages")),
        ("rcpt", Reply(421, "closing")),
        ("mail", Reply(451, "4.7.0 try again later")),
        ("mail", Drop()),
    ],
    ids=lambda value: f"{value.code} {value.text}" if isinstance(value, Reply) else None,
)
def test_a_connection_that_takes_no_more_mails_is_replaced(world: World, at: Phase, then: Action) -> None:
    world.mail_server.limits = Limits(mails=PER_CONNECTION, then=then, at=at)
    accepted = world.post(2 * MANY)
    assert_nothing_is_lost_spent_or_doubled(world, accepted)


def test_refused_recipients_on_reused_connections_stay_refused(world: World) -> None:
    """Only what another connection may not repeat is tried again over one."""
    unknown, greylisted = world.recipient(), world.recipient()
    world.mail_server.on("rcpt", Reply(550, "5.1.1 user unknown"), to=unknown, times=None)
    world.mail_server.on("rcpt", Reply(450, "4.7.1 greylisted, try again in 300 seconds"), to=greylisted)
    accepted = world.post(MANY)
    refused, deferred = world.post_one(unknown), world.post_one(greylisted)
    assert (world.ended(refused)["status"], world.ended(deferred)["status"]) == ("failed", "sent")
    assert [a["outcome"] for a in world.system.client.attempts(refused)] == ["refused"]
    assert [a["outcome"] for a in world.system.client.attempts(deferred)] == ["deferred", "sent"]
    assert (len(world.mail_server.refusals_of(unknown)), len(world.mail_server.refusals_of(greylisted))) == (1, 1)
    assert_nothing_is_lost_spent_or_doubled(world, accepted)


# ---- The server says "not now" because of how much it gets.


@pytest.mark.parametrize(
    "slow_down",
    [
        Reply(432, "4.3.2 concurrent connections limit exceeded"),
        Reply(452, "4.5.3 too many recipients"),
        Reply(421, "4.7.0 try again later"),
        THROTTLING,
    ],
    ids=lambda reply: f"{reply.code} {reply.text}",
)
def test_a_server_with_a_limit_of_simultaneous_mails_gets_all_mails_once(world: World, slow_down: Reply) -> None:
    world.mail_server.delay = SLOW
    world.mail_server.limits = Limits(at_once=3, slow_down=slow_down)
    accepted = world.post(MANY)
    assert_nothing_is_lost_spent_or_doubled(world, accepted)


def test_a_server_that_counts_open_connections_at_the_content_gets_fewer(world: World) -> None:
    world.mail_server.delay = SLOW
    world.mail_server.limits = Limits(open_at_once=3)
    accepted = world.post(MANY)
    assert_nothing_is_lost_spent_or_doubled(world, accepted)


def test_a_server_with_a_rate_limit_gets_all_mails_once(world: World) -> None:
    world.mail_server.limits = Limits(per_second=20, slow_down=THROTTLING)
    accepted = world.post(MANY)
    assert_nothing_is_lost_spent_or_doubled(world, accepted, within=180)


def test_both_limits_together_lose_nothing(world: World) -> None:
    world.mail_server.delay = SLOW
    world.mail_server.limits = Limits(connections=4, mails=PER_CONNECTION, at_once=2)
    accepted = world.post(MANY)
    assert_nothing_is_lost_spent_or_doubled(world, accepted, within=180)


def test_notifications_that_a_rate_limit_refuses_wait_or_expire_without_spending_attempts(world: World) -> None:
    world.mail_server.limits = Limits(at_once=0)
    soon = (datetime.now(UTC) + timedelta(seconds=4)).isoformat()
    expiring, lasting = world.post(5, expiresAt=soon), world.post(5)
    for id in expiring:
        ended = world.ended(id, within=30)
        assert (ended["status"], ended["failureReason"], ended["retryCount"]) == ("failed", "expired", 0)
    assert world.system.sql.statuses(list(lasting))["failed"] == 0
    world.mail_server.limits = Limits()
    assert_nothing_is_lost_spent_or_doubled(world, lasting)


def test_a_server_that_stops_throttling_is_used_at_full_speed_again(world: World) -> None:
    world.mail_server.delay = SLOW
    world.mail_server.limits = Limits(at_once=1)
    accepted = world.post(MANY // 2)
    eventually(lambda: world.mail_server.refusals, within=30)
    world.mail_server.limits = Limits()
    assert_nothing_is_lost_spent_or_doubled(world, accepted | world.post(MANY // 2))
