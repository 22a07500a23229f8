"""Chat messages and webhooks from the request to the service: gunicorn, workers, and services that misbehave."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest
from standardwebhooks import Webhook

from tests.eventually import eventually
from tests.hooks import OK, Hooks, saying, status
from tests.providers.chat import CHAT, TOKEN, Chats
from tests.providers.server import Server, answering, reset_after
from tests.system import System

pytestmark = pytest.mark.long

KINDS = ("slack", "discord", "telegram", "teams")


class Places(NamedTuple):
    """The system, its chat services, and a server that takes webhooks with the secret that signs them."""

    system: System
    server: Server
    chats: Chats
    hooks: Hooks
    secret: str

    def post(self, type: str, recipient: str, **fields: Any) -> Any:
        """POST a notification and return it when it has ended."""
        given: dict[str, Any] = {"message": "Hello"} if type == "chat" else {"payload": {}}
        document = {"type": type, "recipient": recipient, **given, **fields}
        made = self.system.client.post("/api/notifications", document)
        assert made.status == 201, made.raw
        ended = self.system.client.get(f"/api/notifications/{made.json['id']}", wait=20)
        assert ended.json["finishedAt"], self.system.logs()
        return ended.json

    def refused(self, type: str, recipient: str, **fields: Any) -> dict[str, str]:
        """POST a notification that must be refused; return the details by pointer."""
        answer = self.system.client.post("/api/notifications", {"type": type, "recipient": recipient, **fields})
        assert answer.status == 422, answer.raw
        return {fault["pointer"]: fault["detail"] for fault in answer.json["errors"]}

    def outcomes(self, id: int) -> list[str]:
        """The outcome of each attempt."""
        return [one["outcome"] for one in self.system.client.attempts(id)]


@pytest.fixture(scope="module")
def places(
    module_database_url: str, module_redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Places]:
    with ExitStack() as stack:
        chats, hooks = Chats(), stack.enter_context(Hooks())
        server = stack.enter_context(Server(chats.serve))
        where = {"database_url": module_database_url, "redis_url": module_redis_url}
        quick: dict[str, Any] = {
            "retry_min_backoff": 0.2,
            "retry_max_backoff": 1,
            "callback_timeout": 2,
        }
        allowed: dict[str, Any] = {
            "callback_allowed_networks": "127.0.0.0/8",
            "callback_rest": 0,
            "smtp_url": "smtp://127.0.0.1:9",
        }
        system = System(tmp_path_factory.mktemp("system"), **where, **quick, **allowed)
        stack.callback(system.stop)
        system.start_api()
        system.start_workers(2)
        for kind in KINDS:
            place = {"name": kind, "kind": kind, "url": f"{server.url}/{kind}/secret"}
            if kind == "telegram":
                place |= {"url": server.url, "token": TOKEN, "chatId": CHAT}
            assert system.client.post("/api/destinations", place).status == 201
        made = system.client.post("/api/destinations", {"name": "orders", "kind": "webhook", "url": hooks.url})
        yield Places(system, server, chats, hooks, made.json["secret"])


@pytest.fixture(autouse=True)
def healthy(places: Places) -> None:
    places.server.faults.clear()
    places.chats.posted.clear()
    places.hooks.posts.clear()
    places.hooks.answer = saying(OK)


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_reaches_each_service(places: Places, kind: str) -> None:
    shown = places.post("chat", kind, subject="Disk", message="is full", data={"x": 1}, tags=["ops"])

    assert (shown["status"], shown["type"], shown["recipient"], shown["subject"]) == ("sent", "chat", kind, "Disk")
    assert (shown["data"], shown["attemptCount"]) == ({"x": 1}, 1)
    assert [posted.service for posted in places.chats.posted] == [kind]


def test_a_webhook_is_signed_and_shown_with_its_payload(places: Places) -> None:
    payload = {"orderId": 4711, "items": [1.5, None, "Grüße"]}
    shown = places.post("webhook", "orders", event="order.shipped", payload=payload)

    assert (shown["status"], shown["payload"]) == ("sent", payload)
    [post] = places.hooks.posts
    assert Webhook(places.secret).verify(post.body, post.headers)["data"] == payload
    assert post.headers["webhook-id"] == f"msg_{shown['id']}"


def test_many_messages_arrive_once_each(places: Places) -> None:
    texts = [f"text {number}" for number in range(100)]
    items = [{"type": "chat", "recipient": "slack", "message": text} for text in texts]
    made = places.system.client.post("/api/notifications/batch", {"items": items}).json["items"]
    ids = [item["id"] for item in made]

    eventually(lambda: not places.system.sql.unfinished(ids), within=30, saying=places.system.logs)
    assert Counter(posted.document["text"] for posted in places.chats.posted) == Counter(texts)


@pytest.mark.parametrize(("choice", "ending", "copies"), [("hold", "failed", 1), ("resend", "sent", 2)])
def test_a_message_whose_answer_is_lost_is_held_or_sent_again(
    places: Places, choice: str, ending: str, copies: int
) -> None:
    places.server.faults.append(reset_after)
    shown = places.post("chat", "slack", onUncertain=choice)
    assert shown["status"] == ending
    assert len(places.chats.posted) == copies


def test_an_error_inside_a_200_ends_the_notification(places: Places) -> None:
    places.server.faults.append(answering(200, b"channel_not_found"))
    shown = places.post("chat", "slack")
    assert (shown["status"], shown["failureReason"]) == ("failed", "rejected")
    assert "channel_not_found" in shown["lastError"]


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("slack", answering(429, b"rate_limited", Retry_After="2")),
        ("discord", answering(429, {"message": "limited"}, X_RateLimit_Reset_After="1.8", Retry_After="2")),
        ("telegram", answering(429, {"ok": False, "error_code": 429, "parameters": {"retry_after": 2}})),
        ("teams", answering(429, b"", Retry_After="2")),
    ],
)
def test_a_pause_that_a_service_asks_for_is_kept_and_costs_no_attempt(places: Places, kind: str, fault: Any) -> None:
    places.server.faults.append(fault)
    begun = time.monotonic()
    shown = places.post("chat", kind)
    assert time.monotonic() - begun > 1.5
    assert (shown["status"], shown["attemptCount"], shown["retryCount"]) == ("sent", 1, 0)
    assert len(places.chats.posted) == 1


def test_a_pause_shorter_than_a_second_costs_no_attempt_either(places: Places) -> None:
    places.server.faults.append(answering(429, {"message": "limited"}, X_RateLimit_Reset_After="0.376"))
    shown = places.post("chat", "discord")
    assert (shown["status"], shown["attemptCount"]) == ("sent", 1)


def test_a_paused_destination_delays_no_other(places: Places) -> None:
    places.server.faults.append(answering(429, b"rate_limited", Retry_After="3"))
    waiting = places.system.client.post("/api/notifications", {"type": "chat", "recipient": "slack", "message": "1"})
    eventually(lambda: not places.server.faults, within=10)
    assert places.post("chat", "discord")["status"] == "sent"
    assert places.system.client.notification(waiting.json["id"])["status"] in ("pending", "processing")
    ended = places.system.client.get(f"/api/notifications/{waiting.json['id']}", wait=20).json
    assert (ended["status"], ended["attemptCount"]) == ("sent", 1)


def test_a_webhook_is_tried_again_until_its_server_works(places: Places) -> None:
    places.hooks.answer = status(500)
    made = places.system.client.post("/api/notifications", {"type": "webhook", "recipient": "orders", "payload": 1})
    eventually(lambda: len(places.hooks.posts) == 2, within=20, saying=places.system.logs)
    places.hooks.answer = saying(OK)
    ended = places.system.client.get(f"/api/notifications/{made.json['id']}", wait=20).json
    assert ended["status"] == "sent"
    assert len({(post.body, post.headers["webhook-id"]) for post in places.hooks.posts}) == 1


def test_an_unknown_destination_is_refused_with_the_fix(places: Places) -> None:
    refused = places.refused("chat", "nobody", message="Hello")
    assert "POST /api/destinations" in refused["/recipient"]
    items = [{"type": "chat", "recipient": name, "message": "Hello"} for name in ("slack", "nobody", "orders")]
    batch = places.system.client.post("/api/notifications/batch", {"items": items})
    assert batch.status == 422
    assert {fault["pointer"] for fault in batch.json["errors"]} == {"/items/1/recipient", "/items/2/recipient"}


def test_a_destination_of_another_kind_is_refused_with_the_fix(places: Places) -> None:
    assert "type webhook" in places.refused("chat", "orders", message="Hello")["/recipient"]
    assert "type chat" in places.refused("webhook", "slack", payload={})["/recipient"]


def test_a_text_above_the_limit_of_a_service_is_refused(places: Places) -> None:
    assert "of at most 2000" in places.refused("chat", "discord", message="x" * 2_001)["/message"]
    assert places.post("chat", "slack", message="x" * 2_001)["status"] == "sent"


def test_a_destination_that_is_deleted_while_a_message_waits_fails_it(places: Places) -> None:
    client = places.system.client
    client.post("/api/destinations", {"name": "gone", "kind": "slack", "url": f"{places.server.url}/slack/secret"})
    document = {"type": "chat", "recipient": "gone", "message": "Hello", "sendAt": "2099-01-01T00:00:00Z"}
    id = client.post("/api/notifications", document).json["id"]
    assert client.request("DELETE", "/api/destinations/gone").status == 204
    assert client.send("PATCH", f"/api/notifications/{id}", {"sendAt": None}).status == 200
    ended = client.get(f"/api/notifications/{id}", wait=20).json
    assert (ended["status"], ended["failureReason"]) == ("failed", "rejected")
    assert "deleted" in ended["lastError"]


def test_faults_of_a_request_are_reported_with_their_fields(places: Places) -> None:
    faulty = {"message": "", "html": "<p>", "data": [], "subject": "a\nb", "payload": 1}
    assert places.refused("chat", "a b", **faulty).keys() >= {"/message", "/html", "/data", "/subject", "/payload"}
    assert "/payload" in places.refused("webhook", "orders")
    assert "/payload" in places.refused("webhook", "orders", payload="x" * 300_000)
    assert "/data" in places.refused("chat", "slack", message="x", data={"x": "y" * 70_000})


def test_neither_logs_nor_answers_contain_a_secret(places: Places) -> None:
    places.server.faults.append(answering(400, f"bad {places.server.url}/slack/secret".encode()))
    shown = places.post("chat", "slack")
    assert "/slack/secret" not in str(shown)
    logs = places.system.logs()
    assert "/slack/secret" not in logs
    assert TOKEN not in logs
    assert places.secret not in logs
