"""Limits of test keys: they must neither change nor stop live notifications."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from cli.servers.valkey import Valkey
from tests.client import NOTIFICATIONS, Response
from tests.contract import CheckedClient
from tests.integration.api import Api, running
from tests.integration.test_api_control import FAIL
from tests.keys import EVERY, client, key

RETRY = f"{NOTIFICATIONS}/retry"


class Pair(NamedTuple):
    """Two keys of one client."""

    live: CheckedClient
    test: CheckedClient


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url, auth="required") as api:
        yield api


@pytest.fixture
def pair(api: Api, request: pytest.FixtureRequest) -> Pair:
    owner = client(api.sql, request.node.name)
    both = Pair(api.client, api.client)
    for asking, sandbox in zip(both, (False, True), strict=True):
        asking.key = str(key(api.sql, EVERY, of=owner, sandbox=sandbox))
    return both


def asked(asking: CheckedClient, method: str, word: str, id: int) -> Response:
    if method == "PATCH":
        return asking.send("PATCH", f"{NOTIFICATIONS}/{id}", {"sendAt": "2124-01-01T10:00:00Z"})
    return asking.post(f"{NOTIFICATIONS}/{id}/{word}", {})


def made(api: Api, asking: CheckedClient, word: str) -> int:
    id = int(asking.notify("a@example.com").json["id"])
    if word == "retry":
        api.sql.rows(FAIL, "exhausted", id)
    return id


verbs = pytest.mark.parametrize(("method", "word"), [("POST", "cancel"), ("POST", "retry"), ("PATCH", "")])


@verbs
def test_a_test_key_cannot_find_live_mail_to_change_it(api: Api, pair: Pair, method: str, word: str) -> None:
    id = made(api, pair.live, word)
    before = pair.live.notification(id)

    refused = asked(pair.test, method, word, id)
    assert refused.status == 404
    assert refused.json["detail"] == asked(pair.test, method, word, 999_999).json["detail"]
    assert pair.live.notification(id) == before
    assert asked(pair.live, method, word, id).status == 200


@verbs
def test_sandbox_notification_can_be_changed_with_a_test_key(api: Api, pair: Pair, method: str, word: str) -> None:
    assert asked(pair.test, method, word, made(api, pair.test, word)).status == 200


def test_a_bulk_retry_with_a_test_key_matches_the_sandbox_only(api: Api, pair: Pair) -> None:
    live, toy = (made(api, asking, "retry") for asking in pair)

    assert pair.test.post(RETRY, {"filter": {}, "dryRun": True}).json["matched"] == 1
    assert pair.live.post(RETRY, {"filter": {}, "dryRun": True}).json["matched"] == 2
    assert pair.test.post(RETRY, {"filter": {}}).json["retried"] == 1
    assert [pair.live.notification(id)["status"] for id in (live, toy)] == ["failed", "pending"]


@pytest.mark.parametrize("path", ["/api/pauses/client", "/api/pauses/channels/email"])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_test_key_can_neither_pause_nor_resume(pair: Pair, path: str, method: str) -> None:
    refused = pair.test.request(method, path)

    assert refused.status == 403
    assert "use a live key" in refused.json["detail"]
    assert "www-authenticate" not in refused.headers
    assert pair.live.get("/api/pauses").json == {"items": []}
    assert pair.test.get("/api/pauses").status == 200


def test_a_test_key_can_change_neither_templates_nor_the_suppression_list(pair: Pair) -> None:
    template = {"subject": "Hi", "text": "Hello"}
    listed = {"address": "gone@example.com"}
    assert pair.live.send("PUT", "/api/templates/welcome", template).status == 201
    assert pair.live.post("/api/suppressions", listed).status == 201
    for refused in (
        pair.test.send("PUT", "/api/templates/welcome", {**template, "text": "Goodbye"}),
        pair.test.request("DELETE", "/api/templates/welcome"),
        pair.test.post("/api/suppressions", {"address": "a@example.com"}),
        pair.test.request("DELETE", "/api/suppressions/gone@example.com"),
    ):
        assert refused.status == 403
        assert "use a live key" in refused.json["detail"]

    assert pair.test.get("/api/templates/welcome").json["text"] == "Hello"
    assert [found["address"] for found in pair.test.get("/api/suppressions").json["items"]] == ["gone@example.com"]
    sent = pair.test.post(NOTIFICATIONS, {"type": "email", "recipient": "a@example.com", "template": "welcome"})
    assert (sent.json["message"], sent.json["sandbox"]) == ("Hello", True)
    assert pair.test.notify("gone@example.com").json["failureReason"] == "suppressed"


def refused_by_kind(refused: Response) -> bool:
    """A 403 that no scope would help against."""
    assert "www-authenticate" not in refused.headers
    return refused.status == 403 and any(words in refused.json["detail"] for words in ("for the sandbox", "a live key"))


def test_a_test_key_cannot_change_a_client_whatever_its_scopes(pair: Pair) -> None:
    for id in [one["id"] for one in pair.live.get("/api/clients").json["items"]]:
        before = pair.live.get(f"/api/clients/{id}").json
        assert refused_by_kind(
            pair.test.send("PATCH", f"/api/clients/{id}", {"rateLimit": 1, "senders": ["@a.example"]})
        )
        assert pair.live.get(f"/api/clients/{id}").json == before
    assert refused_by_kind(pair.test.post("/api/clients", {"name": "made by a test"}))
    assert "made by a test" not in [one["name"] for one in pair.live.get("/api/clients").json["items"]]


def test_a_test_key_cannot_manage_live_keys(api: Api, pair: Pair) -> None:
    own = pair.live.get("/api/clients").json["items"][-1]["id"]
    real = key(api.sql, ["send"], of=own)

    assert refused_by_kind(pair.test.post(f"/api/clients/{own}/keys", {"name": "real", "scopes": ["send"]}))
    assert refused_by_kind(pair.test.post(f"/api/keys/{real.id}/rotate", {}))
    assert refused_by_kind(pair.test.request("DELETE", f"/api/keys/{real.id}"))
    assert pair.live.get(f"/api/keys/{real.id}").json.items() >= {"revokedAt": None, "replacedBy": None}.items()


def test_a_test_key_can_manage_test_keys_of_its_own_client_only(api: Api, pair: Pair) -> None:
    own, other = pair.live.get("/api/clients").json["items"][-1]["id"], client(api.sql, "whose tests are their own")
    wanted = {"name": "toy", "scopes": ["read"], "sandbox": True}
    theirs = key(api.sql, ["read"], of=other, sandbox=True)

    assert refused_by_kind(pair.test.post(f"/api/clients/{other}/keys", wanted))
    assert refused_by_kind(pair.test.post(f"/api/keys/{theirs.id}/rotate", {}))
    assert refused_by_kind(pair.test.request("DELETE", f"/api/keys/{theirs.id}"))
    made = pair.test.post(f"/api/clients/{own}/keys", wanted)
    assert made.status == 201
    assert pair.test.request("DELETE", f"/api/keys/{made.json['id']}").status == 200
    assert pair.live.post(f"/api/clients/{other}/keys", wanted).status == 201


def test_a_test_key_cannot_change_an_endpoint_for_live_callbacks(pair: Pair) -> None:
    endpoint = {"url": "https://example.com/hook"}
    made = pair.live.post("/api/callbacks", endpoint).json
    place = f"/api/callbacks/{made['id']}"
    for refused in (
        pair.test.post("/api/callbacks", endpoint),
        pair.test.send("PATCH", place, {"disabled": True}),
        pair.test.request("DELETE", place),
        pair.test.request("POST", f"{place}/rotate-secret"),
        pair.test.request("POST", f"{place}/test"),
        pair.test.request("POST", f"{place}/retry"),
        pair.test.request("POST", f"{place}/deliveries/1/retry"),
    ):
        assert refused_by_kind(refused)
    assert pair.test.get(place).json == {name: value for name, value in made.items() if name != "secret"}


def test_an_idempotency_key_of_a_test_is_not_replayed_for_live_mail(pair: Pair) -> None:
    body = {"type": "email", "recipient": "a@example.com", "message": "Hello"}
    headers = {"Content-Type": "application/json", "Idempotency-Key": "order-4711"}
    raw = json.dumps(body).encode()
    for_test, live, again = (
        asking.request("POST", NOTIFICATIONS, raw, headers) for asking in (pair.test, pair.live, pair.live)
    )
    assert (for_test.json["sandbox"], live.json["sandbox"]) == (True, False)
    assert again.json["id"] == live.json["id"] != for_test.json["id"]
    item = {"items": [{**body, "idempotencyKey": "order-4712"}]}
    sent = [asking.post(f"{NOTIFICATIONS}/batch", item).json["items"][0] for asking in (pair.test, pair.live)]
    assert [one["sandbox"] for one in sent] == [True, False]
