"""Idempotency-Key: each key stores one notification, however often it is repeated."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import pytest

from api.store import IDEMPOTENCY_WAIT
from cli.servers.valkey import Valkey
from tests.client import NOTIFICATIONS, Response
from tests.contract import CheckedClient, faults
from tests.eventually import eventually
from tests.integration.api import Api, running

NEEDED = {"type": "email", "recipient": "test@example.com", "message": "Hello"}


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url) as api:
        yield api


@pytest.fixture
def client(api: Api) -> CheckedClient:
    return api.client


def stored(api: Api, recipient: str) -> int:
    return int(api.sql.rows("SELECT count(*) FROM notifications WHERE recipient = %s", recipient)[0][0])


def replayed(answer: Response) -> bool:
    return answer.headers.get("idempotent-replayed") == "true"


def test_the_same_key_and_body_get_the_first_answer_again_and_store_nothing(api: Api, client: CheckedClient) -> None:
    document: dict[str, Any] = {**NEEDED, "recipient": "once@example.com", "subject": "Grüße", "html": "<p>x</p>"}
    document |= {"priority": "high", "tags": ["b", "a"], "metadata": {"zz": "1", "a": "2", "b-": "3"}}
    first = client.post(NOTIFICATIONS, document, idempotency_key="once")
    again = client.post(NOTIFICATIONS, document, idempotency_key="once")

    assert (first.status, again.status) == (201, 201)
    assert (replayed(first), replayed(again)) == (False, True)
    assert again.raw == first.raw
    assert again.headers["location"] == first.headers["location"]
    assert stored(api, "once@example.com") == 1


def test_the_order_of_fields_and_the_quotes_of_the_key_do_not_matter(client: CheckedClient) -> None:
    first = client.post(NOTIFICATIONS, NEEDED, idempotency_key='a "key" \\')
    again = client.post(NOTIFICATIONS, dict(reversed(NEEDED.items())), idempotency_key='"a \\"key\\" \\\\"')

    assert (replayed(again), again.json["id"]) == (True, first.json["id"])


def test_the_first_answer_is_replayed_although_the_notification_has_changed(api: Api, client: CheckedClient) -> None:
    document = NEEDED | {"sendAt": "2124-01-01T10:00:00Z", "expiresAt": "2124-01-02T10:00:00Z"}
    first = client.post(NOTIFICATIONS, document, idempotency_key="history")
    path = first.headers["location"]
    assert client.send("PATCH", path, {"sendAt": None, "expiresAt": None}).status == 200
    assert client.post(f"{path}/cancel", {}).status == 200

    again = client.post(NOTIFICATIONS, document, idempotency_key="history")

    assert (again.status, again.raw) == (201, first.raw)


def test_a_different_body_with_the_same_key_is_refused_and_names_the_header(client: CheckedClient) -> None:
    client.post(NOTIFICATIONS, NEEDED, idempotency_key="other")
    refused = client.post(NOTIFICATIONS, NEEDED | {"message": "Bye"}, idempotency_key="other")

    assert refused.status == 422
    assert list(faults(refused)) == ["Idempotency-Key"]
    assert "another request" in faults(refused)["Idempotency-Key"]


def test_a_request_that_was_refused_leaves_its_key_free(client: CheckedClient) -> None:
    assert client.post(NOTIFICATIONS, {}, idempotency_key="free").status == 422
    answer = client.post(NOTIFICATIONS, NEEDED, idempotency_key="free")

    assert (answer.status, replayed(answer)) == (201, False)


def test_accepted_request_is_replayed_even_after_its_expiry_time(api: Api, client: CheckedClient) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
    document = NEEDED | {"expiresAt": soon}
    first = client.post(NOTIFICATIONS, document, idempotency_key="late")
    assert first.status == 201
    eventually(lambda: client.post(NOTIFICATIONS, document).status == 422)

    again = client.post(NOTIFICATIONS, document, idempotency_key="late")

    assert (again.status, again.raw) == (201, first.raw)


@pytest.mark.parametrize("key", ["", " ", '""', "é", "x" * 256, '"x', '"a"b"', "a\tb", f'"{"x" * 256}"'])
def test_an_invalid_idempotency_key_is_refused(client: CheckedClient, key: str) -> None:
    refused = client.post(NOTIFICATIONS, NEEDED, idempotency_key=key.encode().decode("latin-1"))

    assert refused.status == 400
    assert list(faults(refused)) == ["Idempotency-Key"]


@pytest.mark.parametrize("key", ["x", "x" * 255, "a,b;c=d", "'; DROP TABLE", "%s%%{}", f'"{"y" * 255}"'])
def test_any_printable_idempotency_key_is_accepted(client: CheckedClient, key: str) -> None:
    answers = [client.post(NOTIFICATIONS, NEEDED, idempotency_key=key) for _ in range(2)]

    assert [(a.status, replayed(a)) for a in answers] == [(201, False), (201, True)]


def test_a_request_waits_for_another_one_with_the_same_key_and_is_then_a_409(api: Api, client: CheckedClient) -> None:
    elsewhere = psycopg2.connect(api.environ["DATABASE_URL"])
    try:
        elsewhere.cursor().execute("INSERT INTO idempotency_keys VALUES (1, 'open', '', now(), 1)")
        with ThreadPoolExecutor() as threads:
            busy = threads.submit(client.post, NOTIFICATIONS, NEEDED, idempotency_key="open")
            others = [threads.submit(api.client.post, NOTIFICATIONS, NEEDED, idempotency_key=f"n{n}") for n in range(9)]
            assert [other.result().status for other in others] == [201] * 9
            answer = busy.result()
    finally:
        elsewhere.rollback()
        elsewhere.close()

    assert (answer.status, answer.headers["retry-after"]) == (409, "1")
    again = client.post(NOTIFICATIONS, NEEDED, idempotency_key="open")
    assert (again.status, replayed(again)) == (201, False)


def test_a_request_whose_key_is_free_in_time_is_answered(api: Api, client: CheckedClient) -> None:
    elsewhere = psycopg2.connect(api.environ["DATABASE_URL"])
    with ThreadPoolExecutor() as threads:
        elsewhere.cursor().execute("INSERT INTO idempotency_keys VALUES (1, 'short', '', now(), 1)")
        waiting = threads.submit(client.post, NOTIFICATIONS, NEEDED, idempotency_key="short")
        # Its statement, or that statement as it was prepared.
        waits = (
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND (query LIKE '%%notifications_id_seq%%' OR query LIKE '%%EXECUTE accept_once%%')"
        )
        eventually(lambda: api.sql.rows(waits), within=IDEMPOTENCY_WAIT)
        elsewhere.rollback()
        elsewhere.close()

        answer = waiting.result()

    assert (answer.status, replayed(answer)) == (201, False)


def test_a_key_whose_notification_was_deleted_is_refused(api: Api, client: CheckedClient) -> None:
    id = client.post(NOTIFICATIONS, NEEDED, idempotency_key="gone").json["id"]
    api.sql.rows("DELETE FROM notifications WHERE id = %s RETURNING id", id)

    refused = client.post(NOTIFICATIONS, NEEDED, idempotency_key="gone")

    assert refused.status == 422
    assert "deleted" in faults(refused)["Idempotency-Key"]


def test_fifty_simultaneous_requests_with_one_key_to_two_processes_store_one_notification(
    module_database_url: str, redis_server: Valkey
) -> None:
    with running(module_database_url, redis_server.url, processes=2) as two, ThreadPoolExecutor(50) as threads:
        for turn in range(10):
            key, recipient = f"race-{turn}", f"race{turn}@example.com"

            def post(_: int, key: str = key, recipient: str = recipient) -> Response:
                return two.client.post(NOTIFICATIONS, NEEDED | {"recipient": recipient}, idempotency_key=key)

            answers = list(threads.map(post, range(50)))

            assert {answer.status for answer in answers} == {201}
            assert len({answer.raw for answer in answers}) == 1
            assert sorted(map(replayed, answers)) == [False] + [True] * 49
            assert stored(two, recipient) == 1


def test_batches_with_the_same_keys_in_any_order_do_not_deadlock(
    module_database_url: str, redis_server: Valkey
) -> None:
    with running(module_database_url, redis_server.url, processes=2) as two, ThreadPoolExecutor(32) as threads:

        def post(number: int) -> Any:
            key = (number * 7) % 40
            document = NEEDED | {"recipient": f"k{key}@example.com"}
            return two.client.post(NOTIFICATIONS, document, idempotency_key=f"order-{key}").status

        assert set(threads.map(post, range(400))) == {201}
        assert {stored(two, f"k{key}@example.com") for key in range(40)} == {1}
