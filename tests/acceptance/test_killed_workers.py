"""Workers that are killed at random moments: the number of unknown outcomes is limited and recorded."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.acceptance.conftest import NewWorld
from tests.acceptance.world import World
from tests.eventually import eventually

pytestmark = pytest.mark.long

CONNECTIONS, AHEAD, MANY = 3, 2, 120
# What a worker may have begun: of its claims those that it began at once, and what stands in `sending`.
BEGUN = """
    SELECT n.id, n.claimed_by::text FROM notifications AS n LEFT JOIN sending AS s ON s.worker = n.claimed_by
    WHERE n.status = 'processing' AND n.id = ANY(%s) AND (n.claimed_list < 0 OR n.id = ANY(s.ids))
"""
HELD = "SELECT id FROM notifications WHERE status = 'processing' AND id = ANY(%s)"


@pytest.fixture(scope="module")
def world(new_world: NewWorld) -> World:
    """The API; each test starts its workers."""
    world = new_world()
    world.system.start_api()
    return world


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_worker_leaves_no_more_in_doubt_than_its_connections_allow(world: World, seed: int) -> None:
    chance = random.Random(seed)
    server = f"{world.mail_server.url}?connections={CONNECTIONS}"
    world.system.only_workers(0)
    world.mail_server.delay = 0.02
    accepted = world.post(MANY)
    ids_by_recipient = {recipient: id for id, recipient in accepted.items()}
    doubtful = 0
    for _ in range(3):
        before = len(world.mail_server.mails)
        worker = world.system.start_workers(smtp_url=server)
        more = before + chance.randrange(1, MANY // 4)
        eventually(lambda more=more: len(world.mail_server.mails) >= more, within=30, saying=world.system.logs)  # type: ignore[misc]
        worker.kill()
        # The server still takes a mail of which all has arrived.
        eventually(lambda: world.mail_server.admitted == 0, saying=world.system.logs)
        begun = dict(world.system.sql.rows(BEGUN, list(accepted)))
        held = {id for (id,) in world.system.sql.rows(HELD, list(accepted))}
        taken = [mail.recipients[0] for mail in world.mail_server.mails[before:]]
        unrecorded = {ids_by_recipient[to] for to in taken if to in ids_by_recipient} & held
        assert unrecorded <= begun.keys()
        assert len(unrecorded) <= AHEAD * CONNECTIONS
        # A sender may begin two more while others hold what they took and have not begun.
        assert max(Counter(begun.values()).values(), default=0) <= 2 * AHEAD * CONNECTIONS
        doubtful += len(unrecorded)
    world.mail_server.delay = 0.0
    world.system.start_workers(smtp_url=server)
    tally = world.tally(accepted, within=60)
    assert (tally.delivered, tally.recorded, tally.stuck) == (MANY, MANY, 0)
    assert tally.twice <= doubtful
