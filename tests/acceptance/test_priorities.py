"""Priorities: an urgent mail overtakes a newsletter, and one client's newsletter delays no other client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from cli.servers.valkey import Valkey
from tests import keys
from tests.acceptance.world import World
from tests.client import Client
from tests.eventually import eventually
from tests.smtp import SmtpServer
from tests.system import System

pytestmark = pytest.mark.long

NEWSLETTER = 2_000
# Of the newsletter, what may arrive between the POST of another notification and its arrival: less than the
# threads of one worker process have in their lists.
PASSED = NEWSLETTER // 4


@pytest.fixture
def world(module_database_url: str, redis_server: Valkey, mail_server: SmtpServer, tmp_path: Path) -> Iterator[World]:
    """A slow mail server, one worker process, and keys."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    mail_server.delay = 0.002
    system = System(
        tmp_path,
        **{
            "database_url": module_database_url,
            "redis_url": redis_server.url,
            "smtp_url": mail_server.url,
            "auth": "required",
            "relay_grace": 10,
        },  # type: ignore[arg-type]
    )
    try:
        system.start_api()
        yield World(system, mail_server)
    finally:
        mail_server.delay = 0.0
        system.stop()


def client_of(world: World, name: str) -> Client:
    client = world.system.client
    client.key = str(keys.key(world.system.sql, of=keys.client(world.system.sql, name)))
    return client


def newsletter(world: World, client: Client, priority: str) -> None:
    recipients = list(world.recipients(NEWSLETTER))
    for start in range(0, NEWSLETTER, 500):
        items = [
            {"type": "email", "recipient": recipient, "message": "News", "priority": priority}
            for recipient in recipients[start : start + 500]
        ]
        assert client.post("/api/notifications/batch", {"items": items}).status == 201


def passed_by(world: World, client: Client, priority: str) -> int:
    """Return the number of mails that arrive between the POST of one notification and its own arrival."""
    recipient = world.recipient()
    before = len(world.mail_server.mails)
    assert client.notify(recipient, priority=priority).status == 201
    eventually(lambda: any(mail.recipients == (recipient,) for mail in world.mail_server.mails), within=60)
    arrived = next(n for n, mail in enumerate(world.mail_server.mails) if mail.recipients == (recipient,))
    return arrived - before


def test_an_urgent_notification_overtakes_a_newsletter_of_the_same_client(world: World) -> None:
    shop = client_of(world, "shop of test 1")
    newsletter(world, shop, "bulk")
    world.system.start_workers()
    eventually(lambda: len(world.mail_server.mails) > 50)
    assert passed_by(world, shop, "high") < PASSED
    assert passed_by(world, shop, "normal") < PASSED


def test_a_newsletter_of_one_client_does_not_delay_another_client(world: World) -> None:
    shop, neighbour = client_of(world, "shop of test 2"), client_of(world, "neighbour of test 2")
    newsletter(world, shop, "normal")
    world.system.start_workers()
    eventually(lambda: len(world.mail_server.mails) > 50)
    assert passed_by(world, neighbour, "normal") < PASSED
