"""Tags, metadata and the timeline, as a client sees them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from cli.servers.valkey import Valkey
from db import database, lifecycle
from db.reports import Position
from tests.client import NOTIFICATIONS
from tests.contract import CheckedClient, faults
from tests.environment import configured
from tests.integration.api import running
from tests.integration.rows import CLIENT, GRACE, WORKER, alive, attempt, passed

EVENTS = NOTIFICATIONS + "/{}/events"
NOBODY = {"keyId": None}  # as where AUTH is off


@pytest.fixture(scope="module")
def client(module_database_url: str, redis_server: Valkey) -> Iterator[CheckedClient]:
    with (
        configured(database_url=module_database_url) as settings,
        running(module_database_url, redis_server.url) as api,
        api.client as client,
    ):
        database.bind(settings.database)
        with database.connection():
            yield client
        database.database.close()


def ids(client: CheckedClient, *query: tuple[str, str]) -> list[int]:
    found = client.get(f"{NOTIFICATIONS}?" + "&".join(f"{name}={value}" for name, value in query))
    assert found.status == 200, found.raw
    return [item["id"] for item in found.json["items"]]


@pytest.mark.parametrize(
    "given",
    [
        {"tags": ["welcome", "größe"], "metadata": {"order.Id": "42", "empty": ""}},
        {"tags": []},
        {"metadata": {}},
        {"tags": ["'\"\\%s{}"], "metadata": {"a": "'\"\\%s{}\n"}},
    ],
)
def test_every_answer_shows_the_given_tags_and_metadata(client: CheckedClient, given: dict[str, Any]) -> None:
    accepted = client.notify("a@example.com", **given)

    assert accepted.status == 201
    expected = {"tags": [], "metadata": {}} | given
    in_list = client.get(NOTIFICATIONS, limit=1).json["items"][0]
    for shown in (accepted.json, client.notification(accepted.json["id"]), in_list):
        assert {name: shown[name] for name in expected} == expected


def test_empty_tags_and_metadata_are_stored_as_null(client: CheckedClient) -> None:
    id = client.notify("a@example.com", tags=[], metadata={}).json["id"]

    assert database.rows("SELECT tags, metadata FROM notifications WHERE id = %s", id) == [(None, None)]


@pytest.mark.parametrize(
    ("given", "pointer", "detail"),
    [
        ({"tags": "a"}, "/tags", "must be an array"),
        ({"tags": [1]}, "/tags/0", "must be a string"),
        ({"tags": [""]}, "/tags/0", "must not be empty"),
        ({"tags": ["a\nb"]}, "/tags/0", "must be one line without control characters"),
        ({"tags": ["x" * 65]}, "/tags/0", "must have at most 64 characters, has 65"),
        ({"tags": ["a", "a"]}, "/tags", "must not have the same item twice"),
        ({"tags": list("abcdefghijklmnopqrstu")}, "/tags", "must have at most 20 entries, has 21"),
        ({"metadata": []}, "/metadata", "must be an object"),
        ({"metadata": {"a": 1}}, "/metadata/a", "must be a string"),
        ({"metadata": {"a": {"b": "c"}}}, "/metadata/a", "must be a string"),
        ({"metadata": {"a": "\0"}}, "/metadata/a", "must not contain the character U+0000"),
        ({"metadata": {"a": "x" * 501}}, "/metadata/a", "must have at most 500 characters, has 501"),
        ({"metadata": dict.fromkeys("abcdefghijklmnopqrstu", "")}, "/metadata", "must have at most 20 entries, has 21"),
        ({"metadata": {"x" * 41: ""}}, "/metadata", "has a key of more than 40 characters"),
        ({"metadata": {"a b": ""}}, "/metadata", "has a key with other characters than letters, digits, _, - and dots"),
        ({"metadata": {"a\n": ""}}, "/metadata", "has a key with other characters than letters, digits, _, - and dots"),
        ({"metadata": {"": ""}}, "/metadata", "has a key with other characters than letters, digits, _, - and dots"),
    ],
)
def test_invalid_tags_and_metadata_are_refused_with_a_pointer(
    client: CheckedClient, given: Any, pointer: str, detail: str
) -> None:
    refused = client.notify("a@example.com", **given)

    assert refused.status == 422
    assert faults(refused) == {pointer: detail}


def test_a_filter_by_several_tags_and_metadata_requires_all_of_them(client: CheckedClient) -> None:
    one = client.notify("f@example.com", tags=["red", "big"], metadata={"o": "1", "p": "x=&"}).json["id"]
    two = client.notify("g@example.com", tags=["red"], metadata={"o": "1"}).json["id"]

    assert ids(client, ("tag", "red")) == [two, one]
    assert ids(client, ("tag", "red"), ("tag", "big")) == [one]
    assert ids(client, ("tag", "re")) == []
    assert ids(client, ("metadata.o", "1")) == [two, one]
    assert ids(client, ("metadata.o", "1"), ("metadata.p", "x%3D%26")) == [one]
    assert ids(client, ("metadata.o", "2")) == []
    assert ids(client, ("metadata", "o%3D1"), ("metadata", "p%3Dx%3D%26")) == [one]
    assert ids(client, ("metadata", "o%3D1"), ("metadata.p", "x%3D%26")) == [one]
    assert ids(client, ("metadata", "o%3D2")) == []
    assert ids(client, ("tag", "red"), ("recipient", "g@example.com"), ("status", "pending")) == [two]
    assert client.get(f"{NOTIFICATIONS}?tag=red&limit=1").json["nextCursor"]


@pytest.mark.parametrize(
    "query",
    [
        *("tag=", "metadata.=1", "metadata.a=1&metadata.a=2", "tag=a%00", "metadata=1", "tags=a", "metadata=%3D1"),
        *("metadata=a%3D1&metadata=a%3D2", "metadata=a%3D1&metadata.a=1", "metadata=", "metadata=a%3D1&metadata=b"),
    ],
)
def test_an_invalid_filter_by_tag_or_metadata_is_refused(client: CheckedClient, query: str) -> None:
    assert client.get(f"{NOTIFICATIONS}?{query}").status == 400


def test_events_are_listed_in_order(client: CheckedClient) -> None:
    id = client.notify("a@example.com").json["id"]
    database.rows("UPDATE notifications SET created_at = created_at - interval '1 hour' WHERE id = %s", id)
    settle(id, "deferred", "450 busy")
    lose(id)
    settle(id, "refused", "550 no")
    assert lifecycle.redrive(id, CLIENT, GRACE)
    settle(id, "sent", "250 ok")

    story = client.get(EVENTS.format(id)).json["items"]

    assert [e["event"] for e in story] == [
        *("accepted", "attempted", "rescued", "attempted", "failed", "retried", "attempted", "sent"),
    ]
    assert [e["at"] for e in story] == sorted(e["at"] for e in story)
    assert story[1]["detail"]["outcome"] == "deferred"
    assert story[1]["detail"]["text"] == "450 busy"
    assert story[2]["detail"]["number"] == 2
    assert story[4]["detail"] == {"failureReason": "rejected"}
    assert story[7]["at"] == client.notification(id)["finishedAt"]


def test_events_are_listed_in_pages(client: CheckedClient) -> None:
    id = client.notify("a@example.com", sendAt="2099-01-01T00:00:00Z").json["id"]
    for minute in range(1, 6):
        when = f"2099-01-01T00:0{minute}:00Z"
        assert client.send("PATCH", f"{NOTIFICATIONS}/{id}", {"sendAt": when}).status == 200
    whole = client.get(EVENTS.format(id)).json
    assert (len(whole["items"]), whole["nextCursor"]) == (6, None)

    read, sizes, cursor = list[Any](), list[int](), None
    while True:
        page = client.get(EVENTS.format(id), limit=4, **({"cursor": cursor} if cursor else {})).json
        sizes.append(len(page["items"]))
        read += page["items"]
        if (cursor := page["nextCursor"]) is None:
            break
    assert sizes == [4, 2]
    assert read == whole["items"]
    for wrong in ({"limit": 0}, {"cursor": "x"}, {"colour": "red"}):
        assert client.get(EVENTS.format(id), **wrong).status == 400


def test_number_of_reschedules_and_retries_of_one_notification_is_limited(client: CheckedClient) -> None:
    pending = client.notify("a@example.com", sendAt="2099-01-01T00:00:00Z").json["id"]
    failed = client.notify("a@example.com").json["id"]
    settle(failed, "refused", "550 no")
    for id in (pending, failed):
        database.rows(
            "INSERT INTO events (notification_id, name, detail)"
            " SELECT %s, 'rescheduled', '{}' FROM generate_series(1, %s) RETURNING id",
            *(id, lifecycle.MOST_ACTS),
        )
    again = client.send("PATCH", f"{NOTIFICATIONS}/{pending}", {"sendAt": "2099-01-01T00:01:00Z"})
    retried = client.request("POST", f"{NOTIFICATIONS}/{failed}/retry")
    for refused in (again, retried):
        assert refused.status == 409
        assert "1000 times already: send a new notification" in refused.json["detail"]
    many = client.post(f"{NOTIFICATIONS}/retry", {"filter": {"recipient": "a@example.com"}})
    assert client.notification(failed)["status"] == "failed", many.raw
    # It can still be ended.
    assert client.request("POST", f"{NOTIFICATIONS}/{pending}/cancel").status == 200


def test_events_show_that_a_notification_was_cancelled_or_expired(client: CheckedClient) -> None:
    cancelled, expired = (client.notify("a@example.com").json["id"] for _ in range(2))
    assert lifecycle.cancel(cancelled, CLIENT)
    database.rows("UPDATE notifications SET expires_at = now() WHERE id = %s", expired)
    assert lifecycle.expire(10) == [expired]

    assert [e["event"] for e in client.get(EVENTS.format(cancelled)).json["items"]] == ["accepted", "cancelled"]
    assert client.get(EVENTS.format(expired)).json["items"][-1]["detail"] == {"failureReason": "expired"}


def test_events_of_a_notification_name_the_key_that_requested_each_act(client: CheckedClient) -> None:
    id = client.notify("a@example.com").json["id"]
    later = {"sendAt": "2124-01-01T00:00:00Z", "expiresAt": "2124-01-02T00:00:00Z"}
    assert client.send("PATCH", f"{NOTIFICATIONS}/{id}", later).status == 200
    assert client.request("POST", f"{NOTIFICATIONS}/{id}/cancel").status == 200
    other = client.notify("a@example.com").json["id"]
    settle(other, "refused", "550 no")
    assert lifecycle.redrive(other, CLIENT, GRACE, 7)
    settle(other, "refused", "550 no")
    after = Position(datetime(2000, 1, 1, tzinfo=UTC), 0)
    assert other in [moved.id for moved in lifecycle.redrive_all(CLIENT, {}, after, 1000, 8)]

    first, second = (client.get(EVENTS.format(one)).json["items"] for one in (id, other))

    assert [(e["event"], e["detail"]) for e in first] == [
        ("accepted", {}),
        ("rescheduled", {"sendAt": "2124-01-01T00:00:00.000000Z", "expiresAt": "2124-01-02T00:00:00.000000Z"} | NOBODY),
        ("cancelled", NOBODY),
    ]
    assert [e["detail"] for e in second if e["event"] == "retried"] == [{"keyId": 7}, {"keyId": 8}]
    assert [e["event"] for e in second].count("failed") == 2


@pytest.mark.parametrize("id", ["0", "999999", "x", str(2**63)])
def test_the_events_of_an_unknown_notification_are_a_404(client: CheckedClient, id: str) -> None:
    assert client.get(EVENTS.format(id)).status == 404


def settle(id: int, outcome: str, text: str) -> None:
    """One attempt, with this outcome."""
    passed(10_000, id)
    [held] = lifecycle.claim([id], WORKER)
    made = attempt(outcome, text)
    settlement = {
        "sent": lambda: lifecycle.sent(held, made),
        "deferred": lambda: lifecycle.retry(held, made, 0),
        "refused": lambda: lifecycle.failed(held, made, "rejected"),
    }[outcome]()
    assert lifecycle.settle([settlement], GRACE, time.monotonic() - 1)


def lose(id: int) -> None:
    """One attempt, lost with its worker."""
    passed(10_000, id)
    lifecycle.claim([id], WORKER)
    assert lifecycle.rescue(alive(WORKER, steady_for=31), 30, -1, 5, 100) == [id]
