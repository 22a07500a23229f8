"""A person is erased while workers send to them: what the answer promises is kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from cli.servers.valkey import Valkey
from db import database
from tests.acceptance.world import World
from tests.environment import configured
from tests.eventually import eventually
from tests.integration.everywhere import holding
from tests.smtp import SmtpServer
from tests.system import System


@pytest.fixture(scope="module")
def world(
    module_database_url: str,
    redis_server: Valkey,
    mail_server: SmtpServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    """gunicorn and workers."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    logs: Path = tmp_path_factory.mktemp("erasure")
    system = System(logs, database_url=module_database_url, redis_url=redis_server.url, smtp_url=mail_server.url)
    try:
        system.start_api()
        system.start_workers(2)
        yield World(system, mail_server)
    finally:
        system.stop()


def left(world: World, address: str) -> set[str]:
    with configured(database_url=world.system.environ["DATABASE_URL"]) as settings:
        database.bind(settings)
        try:
            with database.connection():
                return holding(address)
        finally:
            database.database.close()


def test_nothing_is_begun_after_the_answer_and_nothing_names_them_in_the_end(world: World) -> None:
    person, others = "ann@recipient.example", list(world.recipients(40))
    client = world.system.client
    world.mail_server.delay = 0.05
    ids = [world.post_one(person, metadata={"user": person}) for _ in range(60)]
    kept = {world.post_one(other): other for other in others}
    eventually(lambda: len(world.mail_server.mails_to(person)) >= 3)
    answer = client.post("/api/erasures", {"recipient": person})
    answered = time.monotonic()
    assert answer.json["status"] in ("erasing", "done")
    assert answer.json["cancelled"] > 0
    eventually(lambda: client.get(answer.headers["location"]).json["status"] == "done", within=20)
    world.wait_for_the_end(kept)

    done = client.get(answer.headers["location"]).json
    statuses = world.system.ledger.statuses(ids)
    assert (done["erased"], done["left"]) == (len(ids), 0)
    assert statuses["cancelled"] + statuses["sent"] + statuses["failed"] == len(ids)
    # What was under way then took no longer than one mail does.
    assert all(mail.at < answered + 5 for mail in world.mail_server.mails_to(person))
    assert len(world.mail_server.mails_to(person)) == statuses["sent"]
    assert world.system.ledger.statuses(list(kept))["sent"] == len(kept)
    assert left(world, person) == set()
    assert person not in world.system.logs()
