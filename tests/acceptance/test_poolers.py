"""A pooler between the system and PostgreSQL, of sessions or of transactions, with its default settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.servers.valkey import Valkey
from tests import pooler
from tests.acceptance.world import World
from tests.client import NOTIFICATIONS
from tests.queries import Tally
from tests.smtp import SmtpServer
from tests.system import System

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(pooler.installed() is None, reason="PgBouncer is not installed"),
]


@contextmanager
def running(directory: Path, url: str, redis: Valkey, mail_server: SmtpServer) -> Iterator[World]:
    system = System(directory, database_url=url, redis_url=redis.url, smtp_url=mail_server.url)
    try:
        system.start_api(processes=2)
        system.start_workers()
        yield World(system, mail_server)
    finally:
        system.stop()


def everything_works(world: World) -> None:
    accepted = world.post(500)
    assert world.tally(accepted) == Tally.perfect(500)
    id = next(iter(accepted))
    assert world.system.client.notification(id)["status"] == "sent"
    document = {"type": "email", "recipient": world.recipient(), "message": "Hello"}
    first, again = (world.system.client.post(NOTIFICATIONS, document, idempotency_key="once") for _ in range(2))
    assert (first.status, again.raw) == (201, first.raw)
    assert world.ended(first.json["id"])["status"] == "sent"


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_every_notification_is_sent_once_behind_a_pooler(
    mode: str, database_url: str, redis_server: Valkey, mail_server: SmtpServer, tmp_path: Path
) -> None:
    with (
        pooler.pooled(database_url, tmp_path, mode) as through,
        running(tmp_path, through, redis_server, mail_server) as world,
    ):
        everything_works(world)
