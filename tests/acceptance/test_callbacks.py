"""A POST, a mail, and a callback to the client's own server, which may fail at first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.conftest import NewWorld
from tests.acceptance.world import World
from tests.eventually import eventually
from tests.hooks import OK, Hooks, saying, status
from tests.smtp import Reply

QUICK: dict[str, Any] = {
    "callback_min_backoff": 0.2,
    "callback_max_backoff": 1,
    "callback_timeout": 2,
    "callback_rest": 1,
}


@pytest.fixture(scope="module")
def world(new_world: NewWorld) -> World:
    """An API and workers, allowed to call back on this machine."""
    world = new_world(callback_allowed_networks="127.0.0.0/8", **QUICK)
    world.system.start_api()
    world.system.start_workers()
    return world


@pytest.fixture
def hooks(world: World) -> Iterator[Hooks]:
    """An endpoint that is told of everything while the test lasts."""
    client = world.system.client
    with Hooks() as hooks:
        made = client.post("/api/callbacks", {"url": hooks.url})
        assert made.status == 201, made.raw
        yield hooks
        client.request("DELETE", f"/api/callbacks/{made.json['id']}")


def subjects(hooks: Hooks) -> set[int]:
    return {post.json["data"]["id"] for post in hooks.posts}


def test_the_client_is_told_how_each_notification_ends(world: World, hooks: Hooks) -> None:
    world.mail_server.on("rcpt", Reply(550, "5.1.1 nobody"), to="bad@example.com")
    good = world.system.client.notify("good@example.com", tags=["a"]).json["id"]
    bad = world.system.client.notify("bad@example.com").json["id"]

    eventually(lambda: subjects(hooks) == {good, bad}, within=20, saying=world.system.logs)

    told = {post.json["data"]["id"]: post.json for post in hooks.posts}
    assert (told[good]["type"], told[bad]["type"]) == ("notification.sent", "notification.failed")
    assert told[good]["data"]["tags"] == ["a"]
    assert told[bad]["data"]["failureReason"] == "rejected"
    assert len(hooks.posts) == 2


def test_callbacks_to_a_broken_endpoint_arrive_when_it_works_again(world: World, hooks: Hooks) -> None:
    hooks.answer = status(500)
    ids = {world.system.client.notify(f"{n}@example.com").json["id"] for n in range(20)}
    eventually(lambda: subjects(hooks) == ids, within=20, saying=world.system.logs)

    hooks.answer = saying(OK)

    waiting = "SELECT count(*) FROM notifications WHERE type = 'callback' AND status <> 'sent' AND subject_id = ANY(%s)"
    eventually(lambda: world.system.sql.rows(waiting, list(ids)) == [(0,)], within=30, saying=world.system.logs)
    assert len({post.headers["webhook-id"] for post in hooks.posts}) == 20


def test_an_endpoint_that_hangs_delays_neither_mails_nor_other_callbacks(world: World, hooks: Hooks) -> None:
    with Hooks() as hanging:
        hanging.answer = hanging.hang
        made = world.system.client.post("/api/callbacks", {"url": hanging.url}).json["id"]
        ids = {world.system.client.notify(f"{n}@example.com").json["id"] for n in range(50)}

        eventually(lambda: subjects(hooks) == ids, within=30, saying=world.system.logs)

        assert 0 < hanging.connections < 50
        world.system.client.request("DELETE", f"/api/callbacks/{made}")
