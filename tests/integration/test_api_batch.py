"""POST /api/notifications/batch: all or nothing, or item by item."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import pytest

from cli.servers.valkey import Valkey
from tests.client import NOTIFICATIONS, Response
from tests.contract import CheckedClient, faults
from tests.eventually import eventually
from tests.integration.api import Api, running
from tests.integration.test_wake_ups import carried, lists

BATCH = f"{NOTIFICATIONS}/batch"
PARTIAL = f"{BATCH}?partial=true"
LIMIT = 120


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(
        module_database_url,
        redis_server.url,
        batch_limit=LIMIT,
        body_limit=100_000,
    ) as api:
        yield api


@pytest.fixture
def client(api: Api, redis_url: str) -> CheckedClient:
    return api.client


def item(recipient: str = "a@example.com", **more: object) -> dict[str, Any]:
    return {"type": "email", "recipient": recipient, "message": "Hello", **more}


def count(api: Api) -> int:
    return int(api.sql.rows("SELECT count(*) FROM notifications")[0][0])


def replayed(answer: Response) -> bool:
    return answer.headers.get("idempotent-replayed") == "true"


def ids(answer: Response) -> list[int]:
    return [i["id"] for i in answer.json["items"]]


def test_a_batch_is_stored_in_order_and_answered_as_a_later_get_shows_it(client: CheckedClient) -> None:
    recipients = [f"b{n}@example.com" for n in range(LIMIT)]
    answer = client.post(BATCH, {"items": [item(r) for r in recipients]})

    assert answer.status == 201
    assert [i["recipient"] for i in answer.json["items"]] == recipients
    assert ids(answer) == sorted(ids(answer))
    assert client.notification(ids(answer)[7]) == answer.json["items"][7]


def test_ids_of_a_batch_are_spread_over_wake_up_messages_that_keep_every_thread_busy(client: CheckedClient) -> None:
    answer = client.post(BATCH, {"items": [item() for _ in range(100)]})

    stored = ids(answer)
    eventually(lambda: set(stored) <= set(carried()))
    assert [id for id in carried() if id in stored] == stored
    assert sum(not set(stored).isdisjoint(one) for one in lists()) <= 16


def test_batch_with_invalid_items_is_refused_as_a_whole(api: Api, client: CheckedClient) -> None:
    before = count(api)
    refused = client.post(BATCH, {"items": [item(), item("nobody"), 5, item(colour=1), {}]})

    assert refused.status == 422
    found = faults(refused)
    assert found.pop("/items/1/recipient").startswith("must be a mail address")
    assert found.pop("/items/3/colour").startswith("is not a known field")
    assert found == {
        "/items/2": "must be an object",
        "/items/4/type": "is required",
        "/items/4/recipient": "is required",
        "/items/4/message": "is required",
    }
    assert count(api) == before


def test_a_partial_batch_stores_its_valid_items_and_reports_the_others(client: CheckedClient) -> None:
    answer = client.post(PARTIAL, {"items": [item("p0@example.com"), item("nobody"), item("p2@example.com")]})

    assert answer.status == 200
    first, refused, last = answer.json["items"]
    assert (first["status"], refused["status"], last["status"]) == (201, 422, 201)
    assert [fault["pointer"] for fault in refused["errors"]] == ["/items/1/recipient"]
    assert client.notification(last["notification"]["id"]) == last["notification"]


def test_a_partial_batch_without_a_valid_item_is_answered_with_its_faults(api: Api, client: CheckedClient) -> None:
    before = count(api)
    answer = client.post(PARTIAL, {"items": [{}, 1, None]})

    assert (answer.status, [i["status"] for i in answer.json["items"]]) == (200, [422] * 3)
    assert count(api) == before


@pytest.mark.parametrize(
    ("document", "pointer", "detail"),
    [
        ({}, "/items", "is required"),
        ([], "", "must be an object"),
        ({"items": []}, "/items", "must not be empty"),
        ({"items": {}}, "/items", "must be an array"),
        ({"items": [1] * (LIMIT + 1)}, "/items", f"must have at most {LIMIT} entries, has {LIMIT + 1}"),
        ({"items": [1], "partial": True}, "/partial", "is not a known field; known are items"),
    ],
)
def test_invalid_batch_is_refused_with_a_pointer(
    client: CheckedClient, document: Any, pointer: str, detail: str
) -> None:
    for path in (BATCH, PARTIAL):
        refused = client.post(path, document)
        assert (refused.status, faults(refused)) == (422, {pointer: detail})


@pytest.mark.parametrize("query", ["partial=maybe", "partial=", "partial=true&partial=true", "atomic=true", "x=1&y=2"])
def test_an_unknown_parameter_is_refused(client: CheckedClient, query: str) -> None:
    assert client.post(f"{BATCH}?{query}", {"items": [item()]}).status == 400


def test_at_most_a_hundred_faults_are_listed(client: CheckedClient) -> None:
    refused = client.post(BATCH, {"items": [{} for _ in range(LIMIT)]})

    assert len(refused.json["errors"]) == 100


def test_the_body_of_a_batch_has_the_usual_size_limit(client: CheckedClient) -> None:
    assert client.post(BATCH, {"items": [item(message="x" * 5_000)]}).status == 201
    assert client.post(BATCH, {"items": [item(message="x" * 100_000)]}).status == 413


def test_a_repeated_batch_with_its_idempotency_key_gets_the_first_answer(api: Api, client: CheckedClient) -> None:
    document = {"items": [item("w0@example.com"), item("w1@example.com", sendAt="2124-01-01T00:00:00Z")]}
    first = client.post(BATCH, document, idempotency_key="whole")
    before = count(api)
    client.send("PATCH", f"{NOTIFICATIONS}/{ids(first)[1]}", {"sendAt": "2125-01-01T00:00:00Z"})
    again = client.post(BATCH, document, idempotency_key="whole")

    assert (again.status, again.raw) == (201, first.raw)
    assert (replayed(first), replayed(again)) == (False, True)
    assert count(api) == before


def test_a_repeated_batch_gets_the_first_answer_although_it_is_now_invalid(api: Api, client: CheckedClient) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
    document = {"items": [item(expiresAt=soon)]}
    first = client.post(BATCH, document, idempotency_key="in time")
    assert first.status == 201
    eventually(lambda: client.post(BATCH, document).status == 422)

    again = client.post(BATCH, document, idempotency_key="in time")
    assert (again.status, again.raw, replayed(again)) == (201, first.raw, True)


def test_a_different_batch_with_the_same_idempotency_key_is_refused(client: CheckedClient) -> None:
    client.post(BATCH, {"items": [item()]}, idempotency_key="taken")
    for path, document in ((BATCH, {"items": [item(), item()]}), (PARTIAL, {"items": [item()]})):
        refused = client.post(path, document, idempotency_key="taken")
        assert (refused.status, list(faults(refused))) == (422, ["Idempotency-Key"])
    assert client.post(NOTIFICATIONS, item(), idempotency_key="taken").status == 422
    assert client.post(NOTIFICATIONS, item(), idempotency_key="single").status == 201
    assert client.post(BATCH, {"items": [item()]}, idempotency_key="single").status == 422


def test_a_partial_answer_is_replayed_with_its_refusals(api: Api, client: CheckedClient) -> None:
    client.post(NOTIFICATIONS, item("q@example.com"), idempotency_key="q")
    mixed = [item(), {}, item("q@example.com", idempotencyKey="q"), item("other@example.com", idempotencyKey="q2")]
    client.post(NOTIFICATIONS, item("first@example.com"), idempotency_key="q2")
    first = client.post(PARTIAL, {"items": mixed}, idempotency_key="partial")
    before = count(api)
    again = client.post(PARTIAL, {"items": mixed}, idempotency_key="partial")

    assert [i["status"] for i in first.json["items"]] == [201, 422, 201, 422]
    assert [i.get("replayed") for i in first.json["items"]] == [False, None, True, None]
    assert (again.status, again.raw, count(api)) == (200, first.raw, before)


def test_the_idempotency_key_of_an_item_equals_that_of_the_header(api: Api, client: CheckedClient) -> None:
    single = client.post(NOTIFICATIONS, item("s@example.com"), idempotency_key="same")
    answer = client.post(BATCH, {"items": [item("s@example.com", idempotencyKey="same"), item("t@example.com")]})

    assert answer.json["items"][0] == single.json
    assert ids(answer)[1] > single.json["id"]
    assert not replayed(answer)


def test_a_batch_whose_items_all_have_keys_is_safe_to_repeat(api: Api, client: CheckedClient) -> None:
    document = {"items": [item(f"r{n}@example.com", idempotencyKey=f"r{n}") for n in range(20)]}
    first = client.post(BATCH, document)
    before = count(api)
    again = client.post(BATCH, document)

    assert (again.status, again.raw, replayed(again)) == (201, first.raw, True)
    assert count(api) == before


def test_an_idempotency_key_used_before_refuses_the_batch_or_in_partial_mode_the_item(
    api: Api, client: CheckedClient
) -> None:
    client.post(NOTIFICATIONS, item("u@example.com"), idempotency_key="used")
    before = count(api)
    document = {"items": [item("v@example.com"), item("v@example.com", idempotencyKey="used")]}
    refused = client.post(BATCH, document)
    partly = client.post(PARTIAL, document)

    assert (refused.status, list(faults(refused))) == (422, ["/items/1/idempotencyKey"])
    assert [i["status"] for i in partly.json["items"]] == [201, 422]
    assert count(api) == before + 1


def test_an_idempotency_key_twice_in_one_batch_is_refused(client: CheckedClient) -> None:
    refused = client.post(BATCH, {"items": [item(idempotencyKey="d"), item(), item(idempotencyKey="d")]})

    assert faults(refused) == {"/items/2/idempotencyKey": "is the key of an earlier item of this batch too"}


@pytest.mark.parametrize("key", ["", "x" * 256, "é", "a\nb", "\0", 5, None])
def test_a_malformed_idempotency_key_of_an_item_is_refused(client: CheckedClient, key: object) -> None:
    refused = client.post(BATCH, {"items": [item(idempotencyKey=key)]})

    assert (refused.status, list(faults(refused))) == (422, ["/items/0/idempotencyKey"])


def test_an_idempotency_key_in_use_by_another_request_is_a_409_and_stores_nothing(
    api: Api, client: CheckedClient
) -> None:
    before = count(api)
    elsewhere = psycopg2.connect(api.environ["DATABASE_URL"])
    try:
        elsewhere.cursor().execute("INSERT INTO idempotency_keys VALUES (1, 'busy', '', now(), 1)")
        document = {"items": [item(), item(idempotencyKey="busy")]}
        by_item, by_header = client.post(BATCH, document), client.post(BATCH, document, idempotency_key="busy")
    finally:
        elsewhere.rollback()
        elsewhere.close()

    assert [(a.status, a.headers["retry-after"]) for a in (by_item, by_header)] == [(409, "1")] * 2
    assert count(api) == before


def test_invalid_times_are_reported_with_their_item(client: CheckedClient) -> None:
    refused = client.post(BATCH, {"items": [item(), item(expiresAt="2001-01-01T00:00:00Z")]})

    assert faults(refused) == {"/items/1/expiresAt": "must be in the future"}


def test_a_field_of_a_notification_beside_items_is_refused(client: CheckedClient) -> None:
    refused = client.post(NOTIFICATIONS, item(idempotencyKey="x"))

    assert list(faults(refused)) == ["/idempotencyKey"]


def test_the_log_describes_a_batch_without_recipients(api: Api, client: CheckedClient) -> None:
    client.post(BATCH, {"items": [item("very.private@example.com")] * 3})

    def told() -> tuple[int, int]:
        [*_, line] = [event for event in map(json.loads, api.events) if event["event"] == "batch.accepted"]
        return line["items"], line["stored"]

    eventually(lambda: told() == (3, 3))
    assert "private" not in api.log


def test_items_have_tags_and_metadata(client: CheckedClient) -> None:
    one = item(tags=["news"], metadata={"zz": "1", "a": "2"}, idempotencyKey="tagged")
    answer = client.post(BATCH, {"items": [one, item()]})

    assert answer.status == 201
    assert [(i["tags"], i["metadata"]) for i in answer.json["items"]] == [(["news"], {"zz": "1", "a": "2"}), ([], {})]
    assert [client.notification(id) for id in ids(answer)] == answer.json["items"]
    again = client.post(PARTIAL, {"items": [one]}).json["items"][0]
    assert again["replayed"]
    assert again["notification"] == answer.json["items"][0]
    wrong = client.post(BATCH, {"items": [item(), item(tags=[""], metadata={"a b": ""})]})
    assert faults(wrong).keys() == {"/items/1/tags/0", "/items/1/metadata"}
