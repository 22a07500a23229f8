"""Workers that are suspended for longer than WORKER_TIMEOUT and then continue, as after a pause of their machine."""

from __future__ import annotations

import signal
from collections import Counter

import pytest
import redis

from tests.acceptance.conftest import NewWorld
from tests.acceptance.world import World
from tests.eventually import eventually
from tests.processes import Group

pytestmark = pytest.mark.long

CONNECTIONS, AHEAD = 4, 2
MANY = 600


@pytest.fixture(scope="module")
def world(new_world: NewWorld) -> World:
    """The API; each test starts its workers."""
    world = new_world()
    world.system.start_api()
    return world


def held(world: World, group: Group) -> int:
    """Return the number of notifications that the processes of a group hold."""
    sql = (
        "SELECT count(*) FROM notifications AS n JOIN workers AS w ON w.id = n.claimed_by"
        " WHERE n.status = 'processing' AND w.pid = ANY(%s)"
    )
    return int(world.system.sql.rows(sql, group.members)[0][0])


@pytest.mark.parametrize("times", [1, 2])
def test_a_worker_that_was_suspended_sends_nothing_that_others_took_over(world: World, times: int) -> None:
    world.system.only_workers(0)
    accepted = world.post(MANY)
    with redis.Redis.from_url(world.system.environ["REDIS_URL"]) as client:
        client.flushall()  # The relay wakes workers for lists that are longer than those of the API.
    world.mail_server.delay = 0.05
    server = f"{world.mail_server.url}?connections={CONNECTIONS}"
    stopped = world.system.start_workers(smtp_url=server)
    other = world.system.start_workers(smtp_url=server)
    for _ in range(times):
        eventually(lambda: held(world, stopped) > 2 * CONNECTIONS * AHEAD, within=30, saying=world.system.logs)
        stopped.signal_all(signal.SIGSTOP)
        eventually(lambda: held(world, stopped) == 0, within=30, saying=world.system.logs)
        stopped.signal_all(signal.SIGCONT)
    world.mail_server.delay = 0.0
    tally = world.tally(accepted, within=60)
    assert (tally.delivered, tally.recorded, tally.stuck) == (MANY, MANY, 0)
    copies = Counter(to for mail in world.mail_server.mails for to in mail.recipients)
    assert sum(number - 1 for number in copies.values()) <= times * CONNECTIONS * AHEAD
    assert other.running
