"""Limits over the API: admitted and refused requests, and their answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest

from cli.servers.valkey import Valkey
from tests.client import NOTIFICATIONS, Response
from tests.contract import CheckedClient, faults
from tests.eventually import eventually
from tests.integration.api import Api, running
from tests.keys import EVERY, client, key
from tests.unit.test_windows import parsed

BATCH = f"{NOTIFICATIONS}/batch"
DRAFT = {"type": "email", "recipient": "a@example.com", "message": "Hello"}
EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
_numbers = count(1)


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    # A count of what waits comes in these tests only when they make it.
    with running(module_database_url, redis_server.url, processes=2, auth="required", backlog_interval=0.1) as api:
        yield api


class Limited:
    """A new client with these limits."""

    def __init__(self, api: Api, **limits: int) -> None:
        self.api, self.id = api, client(api.sql, f"limited {next(_numbers)}")
        for name, value in limits.items():
            api.sql.rows(f"UPDATE clients SET {name} = %s WHERE id = %s RETURNING id", value, self.id)
        self.key = str(key(api.sql, EVERY, of=self.id))

    @property
    def client(self) -> CheckedClient:
        asking = self.api.client
        asking.key = self.key
        return asking

    def post(self, **headers: str) -> Response:
        return self.client.post(NOTIFICATIONS, DRAFT, **headers)

    def batch(self, number: int, query: str = "") -> Response:
        return self.client.post(BATCH + query, {"items": [DRAFT] * number})

    def used(self, name: str) -> Any:
        return self.client.get("/api/limits").json[name]["used"]

    @property
    def stored(self) -> int:
        [(number,)] = self.api.sql.rows("SELECT count(*) FROM notifications WHERE client_id = %s", self.id)
        return int(number)


def refused(answer: Response, policy: str) -> bool:
    assert answer.status in (200, 201, 429), answer
    if answer.status != 429:
        return False
    assert (answer.json["type"], answer.json["violated-policies"]) == (EXCEEDED, [policy])
    assert int(answer.headers["retry-after"]) >= 1
    return True


def test_a_client_without_limits_gets_no_rate_limit_headers(api: Api) -> None:
    free = Limited(api)
    for answer in (free.post(), free.batch(3), free.batch(3, "?partial=true")):
        assert answer.status in (200, 201)
        assert "ratelimit" not in answer.headers
        assert "ratelimit-policy" not in answer.headers


def test_fifty_simultaneous_posts_to_two_processes_keep_the_rate_limit(api: Api) -> None:
    limited = Limited(api, rate_limit=20)
    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(lambda _: limited.post(), range(50)))

    assert Counter(answer.status for answer in answers) == {201: 20, 429: 30}
    assert sum(refused(answer, "rate") for answer in answers) == 30
    assert limited.stored == limited.used("rate") == 20
    for answer in answers:
        assert parsed(answer.headers["ratelimit-policy"]) == {"rate": {"q": 20, "w": 60}}
        remaining = parsed(answer.headers["ratelimit"])["rate"]
        assert remaining["r"] == 0 if answer.status == 429 else 0 <= remaining["r"] < 20
        assert 0 < remaining["t"] <= int(answer.headers.get("retry-after", 120))


def test_each_answer_shows_what_is_left_of_rate_and_quota(api: Api) -> None:
    limited = Limited(api, rate_limit=10, daily_quota=100)
    limited.post()
    answer = limited.batch(4)

    assert parsed(answer.headers["ratelimit-policy"]) == {"rate": {"q": 10, "w": 60}, "daily": {"q": 100, "w": 86_400}}
    told = parsed(answer.headers["ratelimit"])
    assert (told["rate"]["r"], told["daily"]["r"]) == (5, 95)


def test_a_batch_counts_by_its_items_and_is_admitted_whole_or_not_at_all(api: Api) -> None:
    limited = Limited(api, rate_limit=10)

    assert limited.batch(7).status == 201
    assert refused(limited.batch(4), "rate")
    assert limited.used("rate") == limited.stored == 7
    assert limited.batch(3, "?partial=true").status == 200
    assert refused(limited.post(), "rate")


def test_a_batch_larger_than_a_limit_is_a_422_with_the_advice_to_split_it(api: Api) -> None:
    for limits in ({"rate_limit": 5}, {"daily_quota": 5}, {"pending_limit": 5}):
        limited = Limited(api, **limits)
        answer = limited.batch(6)
        assert answer.status == 422
        assert "send smaller batches" in faults(answer)["/items"]
        assert limited.batch(5).status == 201


def test_rejected_items_do_not_count(api: Api) -> None:
    limited = Limited(api, rate_limit=10, daily_quota=10)
    for _ in range(5):
        assert limited.client.notify("nobody").status == 422
        assert limited.client.post(BATCH, {"items": [DRAFT, {}]}).status == 422
    mixed = limited.client.post(f"{BATCH}?partial=true", {"items": [DRAFT, {}, DRAFT]})

    assert [item["status"] for item in mixed.json["items"]] == [201, 422, 201]
    assert [limited.used(name) for name in ("rate", "daily")] == [2, 2]


def test_the_bytes_of_a_day_are_limited_over_all_processes(module_database_url: str, redis_server: Valkey) -> None:
    quota, size = 4 * 2**20, 2**20 - 2**16
    with running(
        module_database_url, redis_server.url, processes=2, auth="required", daily_bytes=quota, limits_timeout=10
    ) as api:
        limited, other = Limited(api), Limited(api)
        file = {"filename": "a.txt", "contentType": "text/plain", "content": "QUFB" * (size // 4)}
        answers = [limited.client.post(NOTIFICATIONS, {**DRAFT, "attachments": [file]}) for _ in range(12)]

        assert refused(answers[-1], "bytes")
        # Of each process up to a megabyte is not counted yet.
        assert quota - 2 * 2**20 <= limited.stored * size <= quota + 2 * 2**20
        assert other.post().status == 201
        assert limited.client.post(BATCH, {"items": [{**DRAFT, "attachments": [file]}] * 2}).status == 429


def test_a_quota_ends_at_midnight(api: Api) -> None:
    limited = Limited(api, daily_quota=3)
    assert [limited.post().status for _ in range(3)] == [201] * 3
    answer = limited.post()

    assert refused(answer, "daily")
    assert 0 < int(answer.headers["retry-after"]) <= 86_400
    assert answer.json["detail"].startswith(
        "With 1 more this client would be above its limit of 3 notifications per day (UTC); nothing was stored."
    )
    assert limited.stored == 3


def test_a_replay_does_not_use_the_daily_quota_and_works_when_it_is_used_up(api: Api) -> None:
    limited = Limited(api, daily_quota=3)
    first = limited.post(idempotency_key="one")
    assert limited.post(idempotency_key="one").headers["idempotent-replayed"] == "true"
    eventually(lambda: limited.used("daily") == 1)
    assert limited.batch(2).status == 201

    assert refused(limited.post(), "daily")
    again = limited.post(idempotency_key="one")
    assert (again.status, again.raw) == (201, first.raw)
    assert refused(limited.post(idempotency_key="two"), "daily")
    assert limited.used("daily") == limited.stored == 3


def test_request_refused_for_its_idempotency_key_does_not_use_the_daily_quota(api: Api) -> None:
    limited = Limited(api, daily_quota=5)
    limited.post(idempotency_key="k")
    other = {**DRAFT, "message": "Another"}
    assert {limited.client.post(NOTIFICATIONS, other, idempotency_key="k").status for _ in range(4)} == {422}
    batch = {"items": [DRAFT, DRAFT, {**other, "idempotencyKey": "k"}]}
    assert limited.client.post(BATCH, batch).status == 422

    eventually(lambda: limited.used("daily") == limited.stored == 1)


def test_a_replayed_batch_does_not_use_the_daily_quota(api: Api) -> None:
    limited = Limited(api, daily_quota=5)
    document = {"items": [{**DRAFT, "idempotencyKey": f"{n}"} for n in range(3)]}
    whole = [limited.client.post(BATCH, document, idempotency_key="whole") for _ in range(4)]

    assert {answer.raw for answer in whole} == {whole[0].raw}
    eventually(lambda: limited.used("daily") == 3)
    items = limited.client.post(BATCH, {"items": [*document["items"][:1], DRAFT]})
    assert items.status == 201
    eventually(lambda: limited.used("daily") == 4)
    assert limited.stored == 4


def test_requests_with_a_test_key_do_not_use_the_limits_of_live_keys(api: Api) -> None:
    limited = Limited(api, rate_limit=2, daily_quota=2)
    tester = api.client
    tester.key = str(key(api.sql, EVERY, of=limited.id, sandbox=True))
    assert [tester.post(NOTIFICATIONS, DRAFT).status for _ in range(3)] == [201, 201, 429]

    assert limited.used("rate") == 0
    assert tester.get("/api/limits").json["rate"]["used"] == 2
    assert limited.post().status == 201


def test_the_rate_limit_of_one_client_does_not_affect_another(api: Api) -> None:
    one, other = Limited(api, rate_limit=1), Limited(api, rate_limit=1)

    assert [limited.post().status for limited in (one, one, other)] == [201, 429, 201]


def test_a_changed_limit_is_in_force_at_once(api: Api) -> None:
    limited = Limited(api, rate_limit=1)
    assert [limited.post().status for _ in range(2)] == [201, 429]
    changed = limited.client.send("PATCH", f"/api/clients/{limited.id}", {"rateLimit": 3})

    assert changed.status == 200
    eventually(lambda: limited.client.get("/api/limits").json["rate"]["limit"] == 3)
    eventually(lambda: limited.post().status == 201)
    assert limited.used("rate") >= 2


def test_limits_and_their_use_are_shown_to_the_client_and_to_an_admin(api: Api) -> None:
    limited = Limited(api, rate_limit=10, pending_limit=50)
    limited.batch(4)
    own = limited.client.get("/api/limits").json

    assert own["rate"] == {"limit": 10, "used": 4, "remaining": 6, "window": 60}
    assert own["daily"] == {"limit": None, "used": None, "remaining": None, "window": 86_400}
    assert own["pending"]["limit"] == 50
    admins = limited.client.get(f"/api/clients/{limited.id}").json
    assert (admins["limits"]["rate"], admins["rateLimit"], admins["dailyQuota"]) == (own["rate"], 10, None)
    assert Limited(api).client.get("/api/limits").json["pending"]["limit"] == 1_000_000


def test_without_auth_the_limits_of_the_settings_are_in_force(module_database_url: str, redis_url: str) -> None:
    with running(
        module_database_url, redis_url, rate_limit=5, daily_quota=4, pending_limit=1_000, limits_timeout=10
    ) as api:
        assert [api.client.notify("a@example.com").status for _ in range(5)] == [201] * 4 + [429]
        assert api.client.get("/api/limits").json["daily"] == {"limit": 4, "used": 4, "remaining": 0, "window": 86_400}


def test_the_limits_of_a_client_override_those_of_the_settings(module_database_url: str, redis_url: str) -> None:
    with running(module_database_url, redis_url, auth="required", rate_limit=2) as api:
        common, large, small = Limited(api), Limited(api, rate_limit=4), Limited(api, rate_limit=1)
        assert [sum(one.post().status == 201 for _ in range(5)) for one in (common, large, small)] == [2, 4, 1]
