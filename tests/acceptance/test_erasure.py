"""Erasure of an address while workers send to it."""

from __future__ import annotations

import pytest

from db import database
from tests.acceptance.conftest import NewWorld
from tests.acceptance.world import World
from tests.environment import configured
from tests.eventually import eventually
from tests.integration.everywhere import holding

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def world(new_world: NewWorld) -> World:
    """gunicorn and workers."""
    world = new_world()
    world.system.start_api()
    world.system.start_workers(2)
    return world


def left(world: World, address: str) -> set[str]:
    with configured(database_url=world.system.environ["DATABASE_URL"]) as settings:
        database.bind(settings.database)
        try:
            with database.connection():
                return holding(address)
        finally:
            database.database.close()


def test_an_erasure_stops_new_attempts_at_once_and_leaves_no_trace_of_the_recipient(world: World) -> None:
    person, others = "ann@recipient.example", list(world.recipients(40))
    client, rows = world.system.client, world.system.sql.rows
    world.mail_server.delay = 0.05
    ids = [world.post_one(person, metadata={"user": person}) for _ in range(60)]
    kept = {world.post_one(other): other for other in others}
    eventually(lambda: len(world.mail_server.mails_to(person)) >= 3)
    answer = client.post("/api/erasures", {"recipient": person})
    begun = "status <> 'pending' AND status <> 'cancelled'"
    before_the_answer = {id for (id,) in rows(f"SELECT id FROM notifications WHERE id = ANY(%s) AND {begun}", ids)}
    assert answer.json["status"] in ("erasing", "done")
    assert answer.json["cancelled"] > 0
    eventually(lambda: client.get(answer.headers["location"]).json["status"] == "done", within=20)
    world.wait_for_the_end(kept)

    done = client.get(answer.headers["location"]).json
    statuses = world.system.sql.statuses(ids)
    assert (done["erased"], done["left"]) == (len(ids), 0)
    assert statuses["cancelled"] + statuses["sent"] + statuses["failed"] == len(ids)
    sent = {id for (id,) in rows("SELECT id FROM notifications WHERE id = ANY(%s) AND status = 'sent'", ids)}
    assert sent <= before_the_answer
    assert len(world.mail_server.mails_to(person)) == statuses["sent"]
    assert world.system.sql.statuses(list(kept))["sent"] == len(kept)
    assert left(world, person) == set()
    assert person not in world.system.logs()
