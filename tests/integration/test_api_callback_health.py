"""The health of callback endpoints, test callbacks, and the retry of all failed ones, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from cli.servers.valkey import Valkey
from db import database, lifecycle
from tests.contract import CheckedClient
from tests.environment import configured
from tests.integration.api import Api, running
from tests.integration.rows import CLIENT, WORKER
from tests.integration.test_api_callbacks import CALLBACKS, end, make, send


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with (
        configured(database_url=module_database_url) as settings,
        running(module_database_url, redis_server.url, retry_limit=2) as api,
    ):
        database.bind(settings.database)
        with database.connection():
            yield api
        database.database.close()


@pytest.fixture
def client(api: Api) -> CheckedClient:
    database.rows("TRUNCATE callbacks, notifications, attempts RESTART IDENTITY")
    return api.client


@pytest.fixture
def place(client: CheckedClient) -> str:
    """The path of an endpoint."""
    return f"{CALLBACKS}/{make(client)['id']}"


def told(client: CheckedClient, place: str, count: int) -> list[int]:
    """Return the ids of callbacks about `count` notifications that were sent."""
    for _ in range(count):
        end(client)
    return [d["id"] for d in client.get(f"{place}/deliveries").json["items"]][::-1]


def test_a_new_endpoint_has_no_history(client: CheckedClient, place: str) -> None:
    nothing = {"lastSuccessAt": None, "lastFailureAt": None, "failingSince": None, "waiting": 0, "failed": 0}
    assert client.get(f"{place}/health").json == nothing


def test_an_endpoint_fails_from_its_first_failure_until_its_next_success(client: CheckedClient, place: str) -> None:
    first, second, third, _ = told(client, place, 4)
    end(client, first)
    # Attempts in these tests took place a second before they are recorded.
    database.rows("UPDATE notifications SET finished_at = finished_at - interval '1 minute' WHERE id = %s", first)
    took = client.get(f"{place}/health").json
    assert (took["lastFailureAt"], took["failingSince"], took["waiting"]) == (None, None, 3)
    assert took["lastSuccessAt"]

    end(client, second, "deferred")
    fails = client.get(f"{place}/health").json
    [failed] = client.get(f"{place}/deliveries", status="failed").json["items"]
    assert fails["failingSince"] == failed["createdAt"]
    assert fails["lastSuccessAt"] == took["lastSuccessAt"]
    assert fails["lastFailureAt"]
    assert (fails["waiting"], fails["failed"]) == (2, 1)

    end(client, third)
    again = client.get(f"{place}/health").json
    assert (again["failingSince"], again["waiting"], again["failed"]) == (None, 1, 1)


def test_a_callback_that_waits_for_its_next_attempt_counts_as_a_failure(client: CheckedClient, place: str) -> None:
    [id] = told(client, place, 1)
    end(client, id, "deferred")
    assert send(client, "POST", f"{place}/deliveries/{id}/retry").status == 200
    assert client.get(f"{place}/health").json["failingSince"]
    assert client.get(f"{place}/health").json["waiting"] == 1


def test_a_test_is_a_delivery_of_its_own_that_soon_expires(client: CheckedClient, place: str) -> None:
    made = send(client, "POST", f"{place}/test")

    assert (made.status, made.json["event"], made.json["notificationId"]) == (201, "callback.test", None)
    shown = client.get(made.headers["location"]).json
    said = json.loads(shown["body"])
    assert (said["type"], said["data"]) == ("callback.test", {"endpointId": int(place.rpartition("/")[2])})
    assert shown["status"] == "pending"
    database.rows("UPDATE notifications SET expires_at = now() WHERE id = %s", shown["id"])
    assert lifecycle.expire(10) == [shown["id"]]
    assert client.get(made.headers["location"]).json["failureReason"] == "expired"
    assert "a test that is over" in send(client, "POST", f"{made.headers['location']}/retry").json["detail"]
    assert client.get("/api/notifications").json["items"] == []


def test_a_test_is_sent_by_a_worker_like_any_callback(client: CheckedClient, place: str) -> None:
    id = send(client, "POST", f"{place}/test").json["id"]
    [held] = lifecycle.claim([id], WORKER)
    assert (held.type, held.callback_id) == ("callback", int(place.rpartition("/")[2]))
    assert held.message == client.get(f"{place}/deliveries/{id}").json["body"]


def test_a_disabled_endpoint_is_not_tested(client: CheckedClient, place: str) -> None:
    assert send(client, "PATCH", place, {"disabled": True}).status == 200
    refused = send(client, "POST", f"{place}/test")
    assert (refused.status, "enable it before" in refused.json["detail"]) == (409, True)
    assert client.get(f"{place}/deliveries").json["items"] == []


def test_all_failed_callbacks_of_one_endpoint_are_retried_in_steps(client: CheckedClient, place: str) -> None:
    other = make(client)["id"]
    ids = told(client, place, 3)
    theirs = [d["id"] for d in client.get(f"{CALLBACKS}/{other}/deliveries").json["items"]]
    for id in (*ids, *theirs):
        end(client, id, "deferred")

    assert send(client, "POST", f"{place}/retry").json == {"retried": 2, "more": True}
    assert send(client, "POST", f"{place}/retry").json == {"retried": 1, "more": False}
    assert send(client, "POST", f"{place}/retry").json == {"retried": 0, "more": False}

    assert len(client.get(f"{place}/deliveries", status="pending").json["items"]) == 3
    assert len(client.get(f"{CALLBACKS}/{other}/deliveries", status="failed").json["items"]) == 3


def test_a_retry_of_notifications_leaves_failed_callbacks_alone(client: CheckedClient, place: str) -> None:
    [id] = told(client, place, 1)
    end(client, id, "deferred")
    assert lifecycle.redrive_all(CLIENT, {}, None, 10) == []


def test_tests_and_retries_are_in_the_audit_log(client: CheckedClient, place: str) -> None:
    [id] = told(client, place, 1)
    end(client, id, "deferred")
    test = send(client, "POST", f"{place}/test").json["id"]
    send(client, "POST", f"{place}/retry")
    send(client, "POST", f"{place}/retry")

    newest = client.get("/api/audit", limit=2).json["items"]
    assert [(a["act"], a["detail"]) for a in newest] == [
        ("callbacks.retried", {"count": 1}),
        ("callback.tested", {"delivery": test}),
    ]
