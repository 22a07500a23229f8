"""Pause, cancel, reschedule and retry in the whole system, checked at the mail server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import redis

from tests.acceptance.conftest import NewWorld
from tests.acceptance.world import World
from tests.client import NOTIFICATIONS
from tests.eventually import eventually
from tests.queries import Tally
from tests.smtp import Reply

pytestmark = pytest.mark.long

PAUSES = ["/api/pauses/client", "/api/pauses/channels/email"]


@pytest.fixture(scope="module")
def world(new_world: NewWorld) -> World:
    """gunicorn and two groups of workers."""
    world = new_world()
    world.system.start_api()
    world.system.start_workers()
    world.system.start_workers()
    return world


def at(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def test_scheduled_notifications_are_sent_at_their_time_after_redis_is_flushed(world: World) -> None:
    recipients = list(world.recipients(20))
    accepted = {world.post_one(recipient, sendAt=at(2)): recipient for recipient in recipients}
    with redis.Redis.from_url(world.system.environ["REDIS_URL"]) as client:
        client.flushall()
    assert world.tally(accepted) == Tally.perfect(20)
    early = (
        "SELECT id FROM notifications JOIN attempts ON notification_id = id WHERE started_at < send_at AND id = ANY(%s)"
    )
    assert world.system.sql.rows(early, list(accepted)) == []


def test_a_deferred_notification_fails_when_it_expires_and_is_not_sent(world: World) -> None:
    recipient = world.recipient()
    world.mail_server.on("rcpt", Reply(451, "4.3.0 come back later"), to=recipient, times=100)
    id = world.post_one(recipient, expiresAt=at(2))
    ended = world.ended(id)
    assert (ended["status"], ended["failureReason"]) == ("failed", "expired")
    assert ended["lastError"] == "451 4.3.0 come back later"
    assert world.mail_server.mails_to(recipient) == []


def test_a_cancelled_notification_is_never_sent_and_one_moved_to_now_is_sent_at_once(world: World) -> None:
    client, (gone, moved) = world.system.client, world.recipients(2)
    ids = {recipient: world.post_one(recipient, sendAt=at(3600)) for recipient in (gone, moved)}
    assert client.post(f"{NOTIFICATIONS}/{ids[gone]}/cancel", {}).status == 200
    assert client.send("PATCH", f"{NOTIFICATIONS}/{ids[moved]}", {"sendAt": None}).status == 200
    assert client.send("PATCH", f"{NOTIFICATIONS}/{ids[gone]}", {"sendAt": None}).status == 409
    assert world.ended(ids[moved])["status"] == "sent"
    assert world.mail_server.mails_to(gone) == []


def test_notifications_cancelled_during_sending_with_a_200_are_never_sent(world: World) -> None:
    world.mail_server.delay = 0.01
    accepted, client = world.post(200), world.system.client
    answers = {id: client.post(f"{NOTIFICATIONS}/{id}/cancel", {}).status for id in sorted(accepted, reverse=True)}
    assert set(answers.values()) == {200, 409}
    cancelled = {id: accepted[id] for id, status in answers.items() if status == 200}
    others = {id: accepted[id] for id in accepted.keys() - cancelled.keys()}
    assert world.tally(others) == Tally.perfect(len(others))
    assert world.count(cancelled) == Tally(len(cancelled), delivered=0, twice=0, recorded=0, stuck=0, attempts=0)


def test_a_batch_is_sent_and_its_failed_notifications_are_retried_by_filter(world: World) -> None:
    recipients = list(world.recipients(100))
    for recipient in recipients[:10]:
        world.mail_server.on("rcpt", Reply(550, "5.7.1 not today"), to=recipient, times=1)
    items = [{"type": "email", "recipient": recipient, "message": "Hello"} for recipient in recipients]
    answer = world.system.client.post(f"{NOTIFICATIONS}/batch", {"items": items})
    accepted = {item["id"]: item["recipient"] for item in answer.json["items"]}
    world.wait_for_the_end(accepted)
    assert world.count(accepted).recorded == 90
    step = {"filter": {"failureReason": "rejected", "createdFrom": answer.json["items"][0]["createdAt"]}}
    assert world.system.client.post(f"{NOTIFICATIONS}/retry", step).json == {"retried": 10, "nextCursor": None}
    tally = world.tally(accepted)
    assert tally == Tally(accepted=100, delivered=100, twice=0, recorded=100, stuck=0, attempts=110)


@pytest.mark.parametrize("path", PAUSES)
def test_nothing_is_sent_while_paused_and_each_once_after_the_resume(world: World, path: str) -> None:
    client = world.system.client
    assert client.request("PUT", path).status == 200
    try:
        accepted = world.post(300)
        parked = "SELECT count(*) FROM notifications WHERE parked AND id = ANY(%s)"
        eventually(lambda: world.system.sql.rows(parked, list(accepted)) == [(300,)])
        assert world.count(accepted).delivered == 0
        for group in world.system.workers:
            group.kill()
        world.system.only_workers(2)
    finally:
        assert client.request("DELETE", path).status == 200
    assert world.tally(accepted) == Tally.perfect(300)
    eventually(lambda: world.system.sql.rows("SELECT FROM pauses") == [])


def test_repeated_pauses_during_sending_lose_and_double_nothing(world: World) -> None:
    world.mail_server.delay = 0.005
    accepted, client = world.post(300), world.system.client
    for turn in range(10):
        for method in ("PUT", "DELETE"):
            assert client.request(method, PAUSES[turn % 2]).status == 200
    assert world.tally(accepted) == Tally.perfect(300)
