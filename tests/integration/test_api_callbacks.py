"""Callback endpoints over HTTP: created, changed, rotated, disabled, deleted; and their deliveries."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from cli.servers.valkey import Valkey
from db import database, lifecycle
from tests.client import Response
from tests.contract import CheckedClient, faults
from tests.environment import configured
from tests.integration.api import Api, running
from tests.integration.rows import GRACE, WORKER, attempt

CALLBACKS = "/api/callbacks"
URL = "https://example.com/hook"
LIMIT = 3


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with (
        configured(database_url=module_database_url) as settings,
        running(module_database_url, redis_server.url, callback_endpoints=LIMIT) as api,
    ):
        database.bind(settings.database)
        with database.connection():
            yield api
        database.database.close()


@pytest.fixture
def client(api: Api) -> CheckedClient:
    database.rows("TRUNCATE callbacks, notifications, attempts RESTART IDENTITY")
    return api.client


def make(client: CheckedClient, **given: Any) -> Any:
    made = client.post(CALLBACKS, {"url": URL, **given})
    assert made.status == 201, made.raw
    return made.json


def send(client: CheckedClient, method: str, path: str, document: Any = None) -> Response:
    if document is None:
        return client.request(method, path)
    return client.request(method, path, json.dumps(document).encode(), {"Content-Type": "application/json"})


def end(client: CheckedClient, id: int | None = None, outcome: str = "sent") -> int:
    """Send a notification, or deliver a callback, with this outcome."""
    wanted = id or client.notify("a@example.com").json["id"]
    [held] = lifecycle.claim([wanted], WORKER)
    made = attempt(outcome, "answer")
    settlement = lifecycle.sent(held, made) if outcome == "sent" else lifecycle.failed(held, made, "exhausted")
    assert lifecycle.settle([settlement], GRACE, time.monotonic())
    return int(wanted)


def test_the_secret_is_shown_once(client: CheckedClient) -> None:
    made = client.post(CALLBACKS, {"url": URL})

    secret = made.json["secret"]
    assert secret.startswith("whsec_")
    assert made.json["events"] == ["sent", "failed", "cancelled"]
    shown = client.get(made.headers["location"])
    assert {**shown.json, "secret": secret} == made.json
    assert client.get(CALLBACKS).json == {"items": [shown.json]}
    assert secret.encode() not in shown.raw + client.get(CALLBACKS).raw


def test_no_secret_is_logged(api: Api, client: CheckedClient) -> None:
    made = make(client)
    rotated = send(client, "POST", f"{CALLBACKS}/{made['id']}/rotate-secret").json
    assert rotated["secret"] != made["secret"]
    assert made["secret"] not in api.log
    assert rotated["secret"] not in api.log


@pytest.mark.parametrize(
    ("given", "pointer", "detail"),
    [
        ({"url": "http://example.com/"}, "/url", "must begin with https://"),
        ({"url": "https://10.0.0.1/"}, "/url", "leads to an address that is not public"),
        ({"url": "https://u:p@example.com/"}, "/url", "must not contain a user, a password or a #fragment"),
        ({"url": 5}, "/url", "must be a string"),
        ({"events": []}, "/events", "must not be empty"),
        (
            {"events": ["pending"]},
            "/events/0",
            "must be one of: sent, failed, cancelled, delivered, bounced, complained, provider.silent, provider.heard",
        ),
        ({"events": ["sent", "sent"]}, "/events", "must not have the same item twice"),
        ({"description": "a\nb"}, "/description", "must be one line without control characters"),
        ({"secret": "mine"}, "/secret", "is not a known field; known are url, events, description"),
    ],
)
def test_invalid_endpoint_is_refused_with_a_pointer(
    client: CheckedClient, given: Any, pointer: str, detail: str
) -> None:
    refused = client.post(CALLBACKS, {"url": URL, **given})

    assert refused.status == 422
    assert faults(refused) == {pointer: detail}
    assert client.get(CALLBACKS).json["items"] == []


def test_a_missing_url_and_other_faults_are_reported_together(client: CheckedClient) -> None:
    assert faults(client.post(CALLBACKS, {})) == {"/url": "is required"}
    assert faults(client.post(CALLBACKS, {"url": "http://a", "events": []})).keys() == {"/url", "/events"}
    assert client.post(CALLBACKS, []).status == 422


def test_a_client_has_a_limited_number_of_endpoints(client: CheckedClient) -> None:
    ids = [make(client)["id"] for _ in range(LIMIT)]

    refused = client.post(CALLBACKS, {"url": URL})

    assert refused.status == 409
    assert "delete one" in refused.json["detail"]
    send(client, "DELETE", f"{CALLBACKS}/{ids[0]}")
    make(client)


def test_a_patch_changes_only_the_given_fields(client: CheckedClient) -> None:
    made = make(client, description="Orders", events=["sent"])
    place = f"{CALLBACKS}/{made['id']}"

    changed = send(client, "PATCH", place, {"url": URL + "/2"})
    assert (changed.status, changed.json["url"], changed.json["description"]) == (200, URL + "/2", "Orders")
    changed = send(client, "PATCH", place, {"events": ["failed"], "description": "", "disabled": True}).json
    assert (changed["events"], changed["description"]) == (["failed"], "")
    assert (changed["disabled"], changed["disabledReason"]) == (True, "by request")
    assert changed == client.get(place).json
    enabled = send(client, "PATCH", place, {"disabled": False}).json
    assert (enabled["disabled"], enabled["disabledAt"], enabled["disabledReason"]) == (False, None, None)
    assert faults(send(client, "PATCH", place, {})) == {"": "must name at least 1 field"}
    assert faults(send(client, "PATCH", place, {"url": "http://a"})) == {"/url": "must begin with https://"}


def test_a_rotation_shows_until_when_the_old_secret_signs(client: CheckedClient) -> None:
    made = make(client)
    assert made["oldSecretUntil"] is None
    rotated = send(client, "POST", f"{CALLBACKS}/{made['id']}/rotate-secret")
    assert rotated.status == 200
    assert rotated.json["oldSecretUntil"] > made["createdAt"]


def test_deleted_endpoint_is_not_found(client: CheckedClient) -> None:
    place = f"{CALLBACKS}/{make(client)['id']}"
    assert send(client, "DELETE", place).status == 200
    assert send(client, "DELETE", place).status == 404
    assert client.get(place).status == 404


PATHS = ["", "/rotate-secret", "/health", "/test", "/retry", "/deliveries", "/deliveries/1", "/deliveries/1/retry"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("id", ["theirs", "999999", "x", str(2**63)])
def test_an_endpoint_of_another_client_is_the_same_404_as_an_unknown_one(
    client: CheckedClient, path: str, id: str
) -> None:
    if id == "theirs":
        id = str(make(client)["id"])
        end(client)
        database.rows("UPDATE callbacks SET client_id = 2")
    method = "POST" if path.endswith(("secret", "retry", "test")) else "GET"
    answer = send(client, method, f"{CALLBACKS}/{id}{path}")
    assert (answer.status, answer.json["detail"]) == (404, "There is no callback endpoint with this id.")
    if not path:
        assert send(client, "PATCH", f"{CALLBACKS}/{id}", {"disabled": True}).status == 404
        assert send(client, "DELETE", f"{CALLBACKS}/{id}").status == 404


def test_deliveries_are_the_callbacks_of_one_endpoint_newest_first(client: CheckedClient) -> None:
    first, second = make(client), make(client, events=["failed"])
    subjects = [end(client) for _ in range(5)]

    seen, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = client.get(f"{CALLBACKS}/{first['id']}/deliveries", **query).json
        seen += page["items"]
        if (cursor := page["nextCursor"]) is None:
            break

    assert [d["notificationId"] for d in seen] == subjects[::-1]
    assert {d["event"] for d in seen} == {"notification.sent"}
    assert client.get(f"{CALLBACKS}/{second['id']}/deliveries").json["items"] == []
    assert len(client.get(f"{CALLBACKS}/{first['id']}/deliveries", status="pending").json["items"]) == 5
    assert client.get(f"{CALLBACKS}/{first['id']}/deliveries", status="sent").json["items"] == []
    assert client.get(f"{CALLBACKS}/{first['id']}/deliveries", recipient="a").status == 400


def test_a_delivery_shows_its_content_and_its_attempts(client: CheckedClient) -> None:
    endpoint = make(client)
    subject = end(client)
    [listed] = client.get(f"{CALLBACKS}/{endpoint['id']}/deliveries").json["items"]
    end(client, listed["id"], "deferred")

    shown = client.get(f"{CALLBACKS}/{endpoint['id']}/deliveries/{listed['id']}").json

    assert json.loads(shown["body"])["data"]["id"] == subject
    assert [a["outcome"] for a in shown["attempts"]] == ["deferred"]
    assert shown["status"] == "failed"


def test_a_failed_delivery_can_be_retried_and_no_other(client: CheckedClient) -> None:
    endpoint = make(client)
    subject = end(client)
    [listed] = client.get(f"{CALLBACKS}/{endpoint['id']}/deliveries").json["items"]
    place = f"{CALLBACKS}/{endpoint['id']}/deliveries/{listed['id']}/retry"
    assert send(client, "POST", place).status == 409

    end(client, listed["id"], "deferred")
    retried = send(client, "POST", place)

    assert (retried.status, retried.json["status"], retried.json["id"]) == (200, "pending", listed["id"])
    assert send(client, "POST", place).status == 409
    # A notification is no delivery, nor is the delivery of another endpoint.
    assert send(client, "POST", place.replace(f"/{listed['id']}/", f"/{subject}/")).status == 404
    other = make(client)
    assert send(client, "POST", place.replace(f"{endpoint['id']}/del", f"{other['id']}/del")).status == 404


def test_a_callback_is_not_shown_as_a_notification(client: CheckedClient) -> None:
    endpoint = make(client)
    subject = end(client)
    [listed] = client.get(f"{CALLBACKS}/{endpoint['id']}/deliveries").json["items"]

    assert [n["id"] for n in client.get("/api/notifications").json["items"]] == [subject]
    place = f"/api/notifications/{listed['id']}"
    for path in ("", "?wait=1", "/events", "/attempts"):
        assert client.get(place + path).status == 404


def test_cancel_reschedule_and_retry_of_notifications_do_not_change_callbacks(client: CheckedClient) -> None:
    endpoint = make(client)
    end(client)
    [listed] = client.get(f"{CALLBACKS}/{endpoint['id']}/deliveries").json["items"]
    place = f"/api/notifications/{listed['id']}"
    assert send(client, "POST", f"{place}/cancel").status == 404
    assert send(client, "PATCH", place, {"sendAt": "2124-01-01T00:00:00Z"}).status == 404
    end(client, listed["id"], "deferred")
    assert send(client, "POST", f"{place}/retry").status == 404
    every: dict[str, Any] = {"filter": {}}
    assert client.post("/api/notifications/retry", every | {"dryRun": True}).json["matched"] == 0
    assert client.post("/api/notifications/retry", every).json["retried"] == 0

    shown = client.get(f"{CALLBACKS}/{endpoint['id']}/deliveries/{listed['id']}").json
    assert (shown["status"], len(shown["attempts"])) == ("failed", 1)
