"""Cancel, retry, retry many, pause and resume."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cli.servers.valkey import Valkey
from tests.client import NOTIFICATIONS, Response
from tests.contract import CheckedClient, faults
from tests.eventually import eventually
from tests.integration.api import Api, running
from tests.integration.test_wake_ups import carried

RETRY = f"{NOTIFICATIONS}/retry"
FAIL = (
    "UPDATE notifications SET status = 'failed', failure_reason = %s, finished_at = now(), attempt_count = 5,"
    " retry_count = 4, next_attempt_at = NULL, dispatch_after = NULL WHERE id = %s RETURNING id"
)
PROCESS = (
    "UPDATE notifications SET status = 'processing', claimed_at = now(), claimed_by = gen_random_uuid(),"
    " next_attempt_at = NULL, dispatch_after = NULL WHERE id = %s RETURNING id"
)
PAUSES = "/api/pauses"
MINE, MAIL = f"{PAUSES}/client", f"{PAUSES}/channels/email"


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url, retry_limit=20) as api:
        yield api


@pytest.fixture
def client(api: Api, redis_url: str) -> CheckedClient:
    return api.client


@pytest.fixture
def nobody_else(api: Api) -> None:
    api.sql.rows("DELETE FROM notifications RETURNING id")


def pending(client: CheckedClient, recipient: str = "a@example.com", **fields: object) -> int:
    return int(client.notify(recipient, **fields).json["id"])


def failed(api: Api, reason: str = "exhausted", **fields: Any) -> int:
    id = pending(api.client, **fields)
    api.sql.rows(FAIL, reason, id)
    return id


def verb(client: CheckedClient, id: object, word: str) -> Response:
    return client.request("POST", f"{NOTIFICATIONS}/{id}/{word}")


# one


def test_pending_notification_is_cancelled_once(client: CheckedClient) -> None:
    id = pending(client)
    cancelled = verb(client, id, "cancel")

    assert (cancelled.status, cancelled.json["status"]) == (200, "cancelled")
    assert cancelled.json["nextAttemptAt"] is None
    assert cancelled.json == client.notification(id)
    again = verb(client, id, "cancel")
    assert again.status == 409
    assert again.json["detail"] == "The notification is cancelled; only one that is pending can be cancelled."


def test_notification_that_is_processing_or_failed_is_not_cancelled(api: Api, client: CheckedClient) -> None:
    held = pending(client)
    api.sql.rows(PROCESS, held)
    over = failed(api)

    for id, status in ((held, "processing"), (over, "failed")):
        refused = verb(client, id, "cancel")
        assert (refused.status, refused.json["detail"].split(";")[0]) == (409, f"The notification is {status}")


def test_retry_makes_a_failed_notification_pending_and_sends_a_wake_up_message(api: Api, client: CheckedClient) -> None:
    id = failed(api, "rejected")
    eventually(lambda: id in carried())
    retried = verb(client, id, "retry")

    assert (retried.status, retried.json["status"]) == (200, "pending")
    assert (retried.json["attemptCount"], retried.json["retryCount"], retried.json["failureReason"]) == (5, 0, None)
    eventually(lambda: carried().count(id) == 2)
    again = verb(client, id, "retry")
    assert again.status == 409
    assert again.json["detail"] == "The notification is pending; only one that is failed can be retried."


def test_failed_notification_that_has_expired_is_not_retried(api: Api, client: CheckedClient) -> None:
    id = failed(api, "expired")
    api.sql.rows("UPDATE notifications SET expires_at = now() WHERE id = %s RETURNING id", id)
    refused = verb(client, id, "retry")

    assert (refused.status, refused.json["detail"]) == (
        409,
        "The notification's expiresAt has passed, so it cannot be retried.",
    )


@pytest.mark.parametrize("word", ["cancel", "retry"])
@pytest.mark.parametrize("id", ["0", "-1", "999999", "x", str(2**63), "%00", "%FF"])
def test_an_id_of_no_notification_is_not_found(client: CheckedClient, id: str, word: str) -> None:
    assert verb(client, id, word).status == 404


@pytest.mark.parametrize("word", ["cancel", "retry"])
def test_cancel_and_retry_refuse_a_body_with_fields(client: CheckedClient, word: str) -> None:
    path = f"{NOTIFICATIONS}/{pending(client)}/{word}"

    assert faults(client.post(path, {"reason": "x"})) == {"": "must be empty: this operation has no fields"}
    assert client.request("POST", path, b"null").status == 400
    assert client.post(path, {}).status in (200, 409)


@pytest.mark.parametrize("path", [f"{NOTIFICATIONS}/1/cancel", f"{NOTIFICATIONS}/1/retry", RETRY])
def test_cancel_and_retry_accept_only_post(client: CheckedClient, path: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        assert client.request(method, path).status == 405


# many


@pytest.mark.usefixtures("nobody_else")
def test_all_matching_notifications_are_retried_step_by_step(api: Api, client: CheckedClient) -> None:
    wanted = [failed(api) for _ in range(7)]
    others = [failed(api, "rejected"), failed(api, "outcome-unknown"), pending(client)]
    body: dict[str, Any] = {"filter": {"failureReason": "exhausted"}, "limit": 3}

    assert client.post(RETRY, {"filter": body["filter"], "dryRun": True}).json == {"matched": 7, "more": False}
    retried = []
    while True:
        step = client.post(RETRY, body).json
        retried.append(step["retried"])
        if step["nextCursor"] is None:
            break
        body["cursor"] = step["nextCursor"]

    assert retried == [3, 3, 1]
    assert {client.notification(id)["status"] for id in wanted} == {"pending"}
    assert [client.notification(id)["status"] for id in others] == ["failed", "failed", "pending"]
    assert client.post(RETRY, {"filter": body["filter"]}).json == {"retried": 0, "nextCursor": None}


@pytest.mark.usefixtures("nobody_else")
def test_a_repeated_step_of_a_bulk_retry_retries_nothing(api: Api, client: CheckedClient) -> None:
    for _ in range(4):
        failed(api)
    body = {"filter": {}, "limit": 2}
    cursor = client.post(RETRY, body).json["nextCursor"]

    assert client.post(RETRY, body | {"cursor": cursor}).json["retried"] == 2
    assert client.post(RETRY, body | {"cursor": cursor}).json == {"retried": 0, "nextCursor": None}


@pytest.mark.usefixtures("nobody_else")
def test_a_dry_run_changes_nothing_and_counts_all_steps(api: Api, client: CheckedClient) -> None:
    ids = [failed(api) for _ in range(31)]
    dry = {"filter": {}, "dryRun": True}

    assert client.post(RETRY, dry).json == {"matched": 31, "more": False}
    client.post(f"{NOTIFICATIONS}/{ids[0]}/retry", {})
    assert client.post(RETRY, dry).json == {"matched": 30, "more": False}
    step = client.post(RETRY, {"filter": {}, "limit": 10}).json
    assert client.post(RETRY, dry | {"cursor": step["nextCursor"]}).json == {"matched": 20, "more": False}


@pytest.mark.usefixtures("nobody_else")
def test_each_filter_selects_the_notifications_to_retry(api: Api, client: CheckedClient) -> None:
    first = failed(api, recipient="one@example.com", priority="bulk")
    second = failed(api, "rejected", recipient="two@example.com")
    created = client.notification(second)["createdAt"]

    for given, count in [
        ({}, 2),
        ({"recipient": "one@example.com"}, 1),
        ({"recipient": "ONE@Example.com"}, 1),
        ({"recipient": "one@example.com", "failureReason": "rejected"}, 0),
        ({"createdFrom": created}, 1),
        ({"createdTo": created}, 1),
        ({"createdFrom": created, "createdTo": created}, 0),
        ({"type": "email"}, 2),
        ({"priority": "bulk"}, 1),
        ({"priority": "high"}, 0),
        ({"lastOutcome": "provider-down"}, 0),
    ]:
        assert client.post(RETRY, {"filter": given, "dryRun": True}).json["matched"] == count
    assert client.post(RETRY, {"filter": {"createdTo": created, "priority": "bulk"}}).json["retried"] == 1
    assert client.notification(first)["status"] == "pending"


@pytest.mark.parametrize(
    ("document", "pointers"),
    [
        ({}, ["/filter"]),
        ([], [""]),
        ({"filter": []}, ["/filter"]),
        ({"filter": {"status": "failed"}}, ["/filter/status"]),
        ({"filter": {"failureReason": "expired"}}, ["/filter/failureReason"]),
        ({"filter": {"recipient": "a\0"}}, ["/filter/recipient"]),
        ({"filter": {"priority": "callback"}}, ["/filter/priority"]),
        ({"filter": {"createdFrom": "yesterday"}}, ["/filter/createdFrom"]),
        ({"filter": {}, "limit": 0}, ["/limit"]),
        ({"filter": {}, "limit": 21}, ["/limit"]),
        ({"filter": {}, "limit": True}, ["/limit"]),
        ({"filter": {}, "limit": 10**30}, ["/limit"]),
        ({"filter": {}, "limit": "5"}, ["/limit"]),
        ({"filter": {}, "dryRun": "yes"}, ["/dryRun"]),
        ({"filter": {}, "dryRun": True, "limit": 5}, ["/limit"]),
        ({"filter": {}, "cursor": "x"}, ["/cursor"]),
        ({"filter": {}, "cursor": ""}, ["/cursor"]),
        ({"filter": {}, "cursor": "é\0"}, ["/cursor"]),
    ],
)
def test_invalid_bulk_retry_is_refused(client: CheckedClient, document: Any, pointers: list[str]) -> None:
    refused = client.post(RETRY, document)

    assert refused.status in (400, 422)
    assert list(faults(refused)) == pointers


# pauses


@pytest.mark.parametrize(
    ("path", "kind", "name"), [(MINE, "client", "default"), (MAIL, "channel", "email")], ids=["client", "channel"]
)
def test_a_pause_is_set_shown_and_removed(client: CheckedClient, path: str, kind: str, name: str) -> None:
    began = client.request("PUT", path)
    assert began.status == 200
    assert began.json == {"kind": kind, "name": name, "paused": True, "since": began.json["since"]}
    assert began.json["since"]
    assert client.request("PUT", path).json == began.json
    assert client.get(PAUSES).json == {"items": [began.json]}

    ended = client.request("DELETE", path)
    assert (ended.status, ended.json) == (200, began.json | {"paused": False, "since": None})
    assert client.request("DELETE", path).json == ended.json
    assert client.get(PAUSES).json == {"items": []}


def test_notification_of_a_paused_client_is_accepted(client: CheckedClient) -> None:
    client.request("PUT", MINE)
    assert client.notify("a@example.com").status == 201
    client.request("DELETE", MINE)


@pytest.mark.parametrize("type", ["pigeon", "EMAIL", "sandbox", "%00", "%FF", ""])
def test_unknown_channel_cannot_be_paused(client: CheckedClient, type: str) -> None:
    for method in ("PUT", "DELETE"):
        assert client.request(method, f"{PAUSES}/channels/{type}").status == 404


@pytest.mark.parametrize("path", [MINE, MAIL])
def test_a_pause_with_a_body_is_refused(client: CheckedClient, path: str) -> None:
    for method in ("PUT", "DELETE"):
        assert client.send(method, path, {"until": "tomorrow"}).status == 400
    assert client.get(PAUSES).json == {"items": []}


def test_the_channel_of_callbacks_can_be_paused(client: CheckedClient) -> None:
    place = f"{PAUSES}/channels/callback"
    paused = client.request("PUT", place)
    assert (paused.status, paused.json["kind"], paused.json["name"]) == (200, "channel", "callback")
    assert [p["name"] for p in client.get(PAUSES).json["items"]] == ["callback"]
    assert client.request("DELETE", place).json["paused"] is False


@pytest.mark.usefixtures("nobody_else")
def test_notifications_are_retried_by_tag(api: Api, client: CheckedClient) -> None:
    wanted = failed(api, tags=["news", "7"])
    others = [failed(api, tags=["news-8"]), failed(api)]

    assert client.post(RETRY, {"filter": {"tag": "news"}, "dryRun": True}).json == {"matched": 1, "more": False}
    assert client.post(RETRY, {"filter": {"tag": "news"}}).json["retried"] == 1
    assert client.notification(wanted)["status"] == "pending"
    assert {client.notification(id)["status"] for id in others} == {"failed"}
    assert faults(client.post(RETRY, {"filter": {"tag": ""}})) == {"/filter/tag": "must not be empty"}
