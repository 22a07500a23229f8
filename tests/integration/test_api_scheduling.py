"""sendAt, expiresAt, priority, and PATCH."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cli.servers.valkey import Valkey
from tests.client import NOTIFICATIONS
from tests.contract import CheckedClient, faults
from tests.eventually import eventually
from tests.integration.api import Api, running
from tests.integration.test_wake_ups import carried

FAR, FARTHER = "2124-01-01T10:00:00Z", "2124-01-01T12:00:00.500000Z"
TIMES = "must be a time in the format of RFC 3339, such as 2024-01-01T10:00:00Z"


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url) as api:
        yield api


@pytest.fixture
def client(api: Api, redis_url: str) -> CheckedClient:
    return api.client


def made(client: CheckedClient, **fields: object) -> Any:
    """A notification with these fields, as it was answered and is shown."""
    answer = client.notify("when@example.com", **fields)
    assert answer.status == 201, answer
    assert client.notification(answer.json["id"]) == answer.json
    return answer.json


def patch(client: CheckedClient, id: int, **times: str | None) -> Any:
    return client.send("PATCH", f"{NOTIFICATIONS}/{id}", times)


@pytest.mark.parametrize("priority", ["high", "normal", "bulk"])
def test_a_priority_is_stored_and_shown(api: Api, client: CheckedClient, priority: str) -> None:
    shown = made(client, priority=priority)

    assert shown["priority"] == priority
    assert api.sql.rows("SELECT lane FROM notifications WHERE id = %s", shown["id"]) == [(priority,)]


@pytest.mark.parametrize("priority", ["urgent", "callback", "", 1, None])
def test_an_unknown_priority_is_refused(client: CheckedClient, priority: object) -> None:
    assert list(faults(client.notify("a@example.com", priority=priority))) == ["/priority"]


def test_scheduled_notification_is_due_at_its_time_and_causes_no_wake_up_message(client: CheckedClient) -> None:
    shown = made(client, sendAt=FAR, expiresAt=FARTHER)

    assert (shown["sendAt"], shown["nextAttemptAt"], shown["expiresAt"]) == (FAR, FAR, FARTHER)
    now = made(client)
    eventually(lambda: now["id"] in carried())
    assert shown["id"] not in carried()


def test_a_time_that_has_passed_means_now(client: CheckedClient) -> None:
    shown = made(client, sendAt="0001-01-01T00:00:00Z")

    assert shown["sendAt"] == "0001-01-01T00:00:00Z"
    assert shown["nextAttemptAt"] == shown["createdAt"]
    eventually(lambda: shown["id"] in carried())


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("2124-01-01T12:00:00+02:00", FAR),
        ("2124-01-01t10:00:00.000z", FAR),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
        ("2124-01-01T10:00:00.123456789Z", "2124-01-01T10:00:00.123456Z"),
    ],
)
def test_times_are_accepted_in_any_zone_and_shown_in_utc(client: CheckedClient, given: str, shown: str) -> None:
    assert made(client, sendAt=given)["sendAt"] == shown


@pytest.mark.parametrize("field", ["sendAt", "expiresAt"])
@pytest.mark.parametrize(
    ("given", "detail"),
    [
        ("tomorrow", TIMES),
        ("2124-01-01", TIMES),
        ("2124-01-01T10:00:00", TIMES),
        ("2124-02-30T10:00:00Z", TIMES),
        ("2124-01-01 10:00:00Z", TIMES),
        ("", TIMES),
        ("2124-01-01T10:00:00Z\n", TIMES),
        ("9999-12-31T23:59:59-23:59", "is out of range"),
        ("2124-01-01T10:00:00." + "1" * 100 + "Z", "must have at most 64 characters, has 121"),
        (4860000000, "must be a string"),
        (None, "must be a string"),
    ],
)
def test_invalid_time_is_refused(client: CheckedClient, field: str, given: object, detail: str) -> None:
    assert faults(client.notify("a@example.com", **{field: given})) == {f"/{field}": detail}


def test_notification_that_would_expire_before_it_is_sent_is_refused(client: CheckedClient) -> None:
    past = (datetime.now(UTC) - timedelta(seconds=5)).isoformat()
    early = client.notify("a@example.com", expiresAt=past)
    before = client.notify("a@example.com", sendAt=FARTHER, expiresAt=FAR)
    same = client.notify("a@example.com", sendAt=FAR, expiresAt=FAR)

    assert [a.status for a in (early, before, same)] == [422] * 3
    assert faults(early) == {"/expiresAt": "must be in the future"}
    assert faults(before) == faults(same) == {"/expiresAt": "must be after sendAt"}


def test_patch_reschedules_a_pending_notification_and_changes_nothing_else(client: CheckedClient) -> None:
    first = made(client, sendAt=FAR)
    moved = patch(client, first["id"], sendAt=FARTHER)

    assert moved.status == 200
    assert moved.json == first | {"sendAt": FARTHER, "nextAttemptAt": FARTHER}
    assert patch(client, first["id"], expiresAt="2130-01-01T00:00:00Z").json == moved.json | {
        "expiresAt": "2130-01-01T00:00:00Z"
    }
    assert client.notification(first["id"])["expiresAt"] == "2130-01-01T00:00:00Z"


def test_patch_with_null_sends_now_and_removes_the_expiry(client: CheckedClient) -> None:
    first = made(client, sendAt=FAR, expiresAt=FARTHER)
    moved = patch(client, first["id"], sendAt=None, expiresAt=None).json

    assert (moved["sendAt"], moved["expiresAt"]) == (None, None)
    assert first["createdAt"] < moved["nextAttemptAt"] < FAR


def test_patch_refuses_a_time_that_contradicts_the_unchanged_one(client: CheckedClient) -> None:
    id = made(client, sendAt=FAR, expiresAt=FARTHER)["id"]

    assert faults(patch(client, id, sendAt=FARTHER)) == {"/expiresAt": "must be after sendAt"}
    assert faults(patch(client, id, expiresAt=FAR)) == {"/expiresAt": "must be after sendAt"}
    assert faults(patch(client, id, expiresAt="2001-01-01T00:00:00Z")) == {"/expiresAt": "must be in the future"}
    assert client.notification(id)["expiresAt"] == FARTHER


@pytest.mark.parametrize(
    ("document", "pointer"),
    [({}, ""), ({"sendAt": 5}, "/sendAt"), ({"message": "x"}, "/message"), ({"sendAt": "x"}, "/sendAt"), ([], "")],
)
def test_invalid_reschedule_is_refused(client: CheckedClient, document: Any, pointer: str) -> None:
    refused = client.send("PATCH", f"{NOTIFICATIONS}/{made(client)['id']}", document)

    assert (refused.status, list(faults(refused))) == (422, [pointer])


@pytest.mark.parametrize("id", ["0", "999999", "x", str(2**63)])
def test_a_patch_of_an_unknown_notification_is_a_404(client: CheckedClient, id: str) -> None:
    assert client.send("PATCH", f"{NOTIFICATIONS}/{id}", {"sendAt": FAR}).status == 404


def test_patch_of_a_cancelled_notification_is_refused_with_its_status(client: CheckedClient) -> None:
    id = made(client)["id"]
    client.post(f"{NOTIFICATIONS}/{id}/cancel", {})
    refused = patch(client, id, sendAt=FAR)

    assert refused.status == 409
    assert refused.json["detail"] == "The notification is cancelled; only one that is pending can be rescheduled."
