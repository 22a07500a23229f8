"""Limits of recipient domains with real workers: killed ones, a domain that refuses, and all others meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count

import pytest
import redis

from tests.acceptance.conftest import NewWorld
from tests.acceptance.world import World
from tests.eventually import eventually
from tests.load import Load
from tests.smtp import Reply

pytestmark = pytest.mark.long

PROCESSES, THREADS = 2, 8
LATER = Reply(421, "4.7.28 too many messages from you, try again later")
_numbers = count(1)


@pytest.fixture(scope="module")
def running(new_world: NewWorld) -> World:
    """The API; each test starts its workers."""
    world = new_world(domain_limits="slow.example=20/s,4")
    world.system.start_api()
    return world


@pytest.fixture
def world(running: World) -> Iterator[World]:
    """A system without workers and notifications."""
    yield running
    running.system.only_workers(0)
    running.system.sql.rows("DELETE FROM notifications RETURNING id")
    running.system.sql.rows("UPDATE providers SET opened_at = NULL, closed_at = NULL RETURNING 1")


def post(world: World, number: int, *domains: str) -> dict[int, str]:
    """Post so many notifications to these domains in turn; return recipients by id."""
    recipients = (f"r{next(_numbers)}@{domains[n % len(domains)]}" for n in range(number))
    load = Load(world.system.port, recipients, 8).start().finish()
    assert load.refused == []
    return load.accepted


def times(world: World, domain: str) -> list[float]:
    """When the mails to a domain were taken."""
    return [mail.at for mail in world.mail_server.mails if mail.recipients[0].endswith(f"@{domain}")]


def most_within(seconds: float, taken: Sequence[float]) -> int:
    """Return the most mails within any span of so many seconds."""
    return max((sum(at <= other < at + seconds for other in taken) for at in taken), default=0)


def spent(world: World, accepted: dict[int, str]) -> Counter[str]:
    """Count the outcomes of all attempts."""
    sql = "SELECT outcome FROM attempts WHERE notification_id = ANY(%s)"
    return Counter(outcome for (outcome,) in world.system.sql.rows(sql, list(accepted)))


def test_a_slow_domain_keeps_to_its_rate_and_the_others_do_not_wait_for_it(world: World) -> None:
    slow = post(world, 200, "slow.example")
    others = post(world, 1_000, "a.example", "b.example", "c.example")
    world.system.start_workers(PROCESSES, threads=THREADS)
    world.wait_for_the_end(others, 30)
    waiting = len(world.system.sql.unfinished(list(slow)))
    world.wait_for_the_end(slow, 60)

    assert waiting > 0
    assert most_within(1.0, times(world, "slow.example")) <= 40
    assert spent(world, slow | others) == {"sent": 1_200}
    assert world.count(slow | others).twice == 0


def test_a_killed_worker_and_a_flushed_redis_lose_and_double_nothing(world: World) -> None:
    accepted = post(world, 120, "slow.example") | post(world, 120, "a.example", "b.example")
    killed = world.system.start_workers(threads=THREADS)
    eventually(lambda: len(times(world, "slow.example")) > 5, within=30, saying=world.system.logs)
    killed.kill()
    with redis.Redis.from_url(world.system.environ["REDIS_URL"]) as client:
        client.flushall()
    world.system.start_workers(PROCESSES, threads=THREADS)
    world.wait_for_the_end(accepted, 90)

    tally = world.count(accepted)
    assert (tally.delivered, tally.recorded, tally.stuck) == (240, 240, 0)
    # What the killed worker had begun may have been taken.
    assert tally.twice <= spent(world, accepted)["lost"]
    assert most_within(1.0, times(world, "slow.example")) <= 40


def test_a_domain_that_refuses_waits_alone_and_all_arrive_when_it_takes_mails_again(world: World) -> None:
    healthy = post(world, 200, "a.example", "b.example", "c.example")
    world.system.start_workers(PROCESSES, threads=THREADS)
    world.wait_for_the_end(healthy, 30)
    refused = [f"x{n}@sulking.example" for n in range(14)]
    for recipient in refused[:5]:
        world.mail_server.on("rcpt", LATER, to=recipient)
    more = post(world, 300, "a.example", "b.example", "c.example")
    sulking = {world.post_one(recipient): recipient for recipient in refused}
    more |= post(world, 600, "a.example", "b.example", "c.example")
    world.wait_for_the_end(more, 30)
    world.wait_for_the_end(sulking, 180)

    assert spent(world, healthy | more | sulking) == {"sent": 1_114}
    assert world.count(healthy | more | sulking).twice == 0
    assert (
        world.system.sql.rows("SELECT name FROM providers WHERE opened_at IS NOT NULL OR closed_at IS NOT NULL") == []
    )
    assert world.mail_server.refusals
