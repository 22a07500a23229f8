"""A flood of one client is refused near its limit, and every accepted notification is sent."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.acceptance.conftest import NewWorld
from tests.acceptance.world import World
from tests.eventually import eventually
from tests.queries import Tally

pytestmark = pytest.mark.long

MOST = 30
INTERVAL = 0.3
PROCESSES = 2


@pytest.fixture(scope="module")
def world(new_world: NewWorld) -> World:
    """Two API processes and two of workers, under which few may wait."""
    world = new_world(pending_limit=MOST, backlog_interval=INTERVAL)
    world.system.start_api(PROCESSES)
    world.system.start_workers(2)
    return world


def flood(world: World, number: int) -> dict[int, str]:
    """Those that were taken in, by id."""

    def post(recipient: str) -> tuple[int, str] | None:
        answer = world.system.client.notify(recipient)
        assert answer.status in (201, 429), answer
        return (int(answer.json["id"]), recipient) if answer.status == 201 else None

    with ThreadPoolExecutor(16) as threads:
        return dict(taken for taken in threads.map(post, world.recipients(number)) if taken)


def test_a_flood_is_refused_at_the_pending_limit_and_continues_when_mails_are_sent(world: World) -> None:
    client = world.system.client
    assert client.request("PUT", "/api/pauses/client").status == 200
    taken = flood(world, 10 * MOST)
    assert MOST <= len(taken) <= PROCESSES * MOST
    eventually(lambda: not flood(world, 4), every=INTERVAL)

    assert client.request("DELETE", "/api/pauses/client").status == 200
    more = eventually(lambda: flood(world, 1), within=20)
    assert world.tally(taken | more) == Tally.perfect(len(taken) + 1)


def test_a_client_that_posts_no_faster_than_mails_are_sent_is_never_refused(world: World) -> None:
    # Each process must have learnt that the flood of the test before is over: one may have while another has not.
    eventually(lambda: client_has_none(world), every=INTERVAL)
    accepted = {}
    for recipient in world.recipients(5 * MOST):
        id = world.post_one(recipient)
        accepted[id] = recipient
        if len(accepted) % (MOST // 3) == 0:
            world.wait_for_the_end(accepted)
            eventually(lambda: client_has_none(world), every=INTERVAL)
    assert world.tally(accepted) == Tally.perfect(5 * MOST)


def client_has_none(world: World) -> bool:
    return {world.system.client.get("/api/limits").json["pending"]["used"] for _ in range(32)} == {0}
