"""Test keys in the whole system: simulated recipients, and no secret in logs, Redis or the database."""

from __future__ import annotations

import subprocess
import sys

import pytest
import redis

from db.secrets import KeyText
from tests.acceptance.conftest import NewWorld
from tests.acceptance.world import World
from tests.client import Client
from tests.eventually import eventually
from tests.processes import ROOT

pytestmark = pytest.mark.long

SEND = ("--scope", "send", "--scope", "read")


@pytest.fixture(scope="module")
def world(new_world: NewWorld) -> World:
    """gunicorn that wants keys, and a worker."""
    world = new_world(auth="required", log_level="debug")
    world.system.start_api(processes=2)
    world.system.start_workers()
    return world


def coming_in(world: World, *options: str) -> Client:
    """A client with a new key, made as a person makes it."""
    command = [sys.executable, "-m", "cli.main", "keys", "create", "--name", "test", *options]
    made = subprocess.run(
        command, cwd=ROOT, env=world.system.environ, check=True, capture_output=True, text=True
    ).stdout.strip()
    client = world.system.client
    client.key = made
    return client


@pytest.mark.parametrize(
    ("recipient", "fields", "ending", "outcomes"),
    [
        ("delivered@example.com", {}, ("sent", None), ["sent"]),
        ("somebody@example.com", {}, ("sent", None), ["sent"]),
        ("refused@example.com", {}, ("failed", "rejected"), ["refused"]),
        ("deferred@example.com", {}, ("sent", None), ["deferred", "sent"]),
        ("timeout@example.com", {}, ("failed", "exhausted"), ["deferred"] * 5),
        ("unknown@example.com", {}, ("sent", None), ["uncertain", "sent"]),
        ("unknown@example.com", {"onUncertain": "hold"}, ("failed", "outcome-unknown"), ["uncertain"]),
    ],
)
def test_each_simulated_recipient_gives_the_outcome_in_its_name(
    world: World, recipient: str, fields: dict[str, str], ending: tuple[str, str | None], outcomes: list[str]
) -> None:
    client = coming_in(world, *SEND, "--sandbox")
    id = client.notify(recipient, **fields).json["id"]

    eventually(lambda: client.notification(id)["finishedAt"], within=30, saying=world.system.logs)
    shown = client.notification(id)
    assert (shown["status"], shown["failureReason"], shown["sandbox"]) == (*ending, True)
    assert [attempt["outcome"] for attempt in client.attempts(id)] == outcomes
    assert world.mail_server.mails == []


@pytest.mark.parametrize(
    "content", [{"type": "chat", "message": "Hello"}, {"type": "webhook", "payload": {"id": 4711}}]
)
@pytest.mark.parametrize(
    ("recipient", "ending", "outcomes"),
    [
        ("anywhere", ("sent", None), ["sent"]),
        ("refused", ("failed", "rejected"), ["refused"]),
        ("deferred", ("sent", None), ["deferred", "sent"]),
    ],
)
def test_a_test_key_can_name_an_unknown_destination(
    world: World, content: dict[str, object], recipient: str, ending: tuple[str, str | None], outcomes: list[str]
) -> None:
    client = coming_in(world, *SEND, "--sandbox")
    made = client.post("/api/notifications", {"recipient": recipient, **content})
    assert made.status == 201, made.raw
    id = made.json["id"]
    eventually(lambda: client.notification(id)["finishedAt"], within=30, saying=world.system.logs)
    shown = client.notification(id)
    assert (shown["status"], shown["failureReason"]) == ending
    assert [attempt["outcome"] for attempt in client.attempts(id)] == outcomes


def test_a_live_key_sends_mails(world: World) -> None:
    client = coming_in(world, *SEND)
    recipient = world.recipient()
    id = client.notify(recipient).json["id"]

    eventually(lambda: client.notification(id)["status"] == "sent")
    assert len(world.mail_server.mails_to(recipient)) == 1


def test_no_secret_is_left_in_logs_redis_or_the_database(world: World) -> None:
    client = coming_in(world, *SEND)
    key = KeyText.parse(client.key)
    assert key is not None
    id = client.notify(world.recipient()).json["id"]
    eventually(lambda: client.notification(id)["status"] == "sent")
    world.system.client.request("GET", "/api/notifications", headers={"Authorization": f"Bearer {client.key}x"})

    logs = "".join(log.read_text() for log in world.system.directory.glob("*.log"))
    assert f'"key":{key.id}' in logs  # They have been written, and say which key it was.
    for place in (logs, everything_in_redis(world), everything_in_the_database(world)):
        assert len(place) > 100
        assert key.secret not in place
    assert key.digest.hex() in everything_in_the_database(world)


def everything_in_redis(world: World) -> str:
    found = []
    with redis.Redis.from_url(world.system.environ["REDIS_URL"]) as client:
        for name in client.scan_iter():
            found.append(f"{name!r} {client.dump(name)!r}")
    return "\n".join(found)


def everything_in_the_database(world: World) -> str:
    sql = world.system.sql
    tables = [name for (name,) in sql.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    assert {"keys", "clients", "notifications", "attempts"} <= set(tables)
    return "\n".join(row for name in tables for (row,) in sql.rows(f"SELECT t::text FROM {name} AS t"))
