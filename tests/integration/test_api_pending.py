"""The limit of pending notifications: a flood stops near it in several processes, and continues once mails are sent."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from cli.servers.valkey import Valkey
from db import backlogs
from db.database import connection
from tests.eventually import eventually
from tests.integration.api import Api, running
from tests.integration.test_api_limits import Limited, refused

pytestmark = pytest.mark.usefixtures("bound")

PROCESSES = 2
MOST = 40
DRAIN = (
    "WITH oldest AS (SELECT id FROM notifications WHERE client_id = %s AND status = 'pending' ORDER BY id LIMIT %s)"
    " UPDATE notifications AS n SET status = 'sent', finished_at = now(), next_attempt_at = NULL,"
    " dispatch_after = NULL FROM oldest WHERE n.id = oldest.id RETURNING n.id"
)


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(
        module_database_url, redis_server.url, processes=PROCESSES, auth="required", backlog_interval=0.1
    ) as api:
        yield api


@pytest.fixture
def limited(api: Api) -> Limited:
    return Limited(api, pending_limit=MOST)


def counting(condition: Callable[[], bool]) -> None:
    """Count as upkeep does, again and again, until it is true."""

    def so() -> bool:
        with connection():
            backlogs.count(1_000_000, 0.1, 10)
        return condition()

    eventually(so)


def flood(limited: Limited, number: int) -> Counter[int]:
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: limited.post(), range(number)))
    assert all(refused(answer, "pending") for answer in answers if answer.status != 201)
    return Counter(answer.status for answer in answers)


def test_a_flood_stops_near_the_limit_and_continues_once_it_is_drained(limited: Limited) -> None:
    first = flood(limited, 4 * MOST)
    # Without a count between them each process knows of its own only.
    assert MOST <= first[201] <= PROCESSES * MOST
    assert first[429] > 0
    # Asked one after the other, one process may give all answers; many at once reach them all.
    counting(lambda: flood(limited, 20) == {429: 20})
    assert limited.stored <= PROCESSES * MOST

    limited.api.sql.rows(DRAIN, limited.id, limited.stored)
    counting(lambda: {limited.used("pending") for _ in range(10)} == {0})
    assert MOST <= flood(limited, 4 * MOST)[201] <= PROCESSES * MOST


def test_counted_notifications_are_not_counted_again_as_newly_accepted(limited: Limited) -> None:
    for _ in range(5):
        assert limited.batch(MOST // 4).status == 201
        limited.api.sql.rows(DRAIN, limited.id, MOST)
        counting(lambda: {limited.used("pending") for _ in range(10)} == {0})


def test_an_old_refusal_does_not_refuse_the_next_request(redis_url: str, module_database_url: str) -> None:
    with running(module_database_url, redis_url, auth="required", backlog_interval=2) as slow:
        limited = Limited(slow, pending_limit=MOST)
        assert flood(limited, 2 * MOST)[429] == MOST
        slow.sql.rows(DRAIN, limited.id, MOST)
        asked_at = time.monotonic()
        counting(lambda: time.monotonic() - asked_at > 1.5)
        # Nobody has asked meanwhile; the first who does is let in.
        assert limited.post().status == 201


def test_a_process_counts_at_once_what_it_has_accepted_itself(module_database_url: str, redis_url: str) -> None:
    with running(module_database_url, redis_url, auth="required") as api:
        limited = Limited(api, pending_limit=MOST)
        assert flood(limited, 3 * MOST) == {201: MOST, 429: 2 * MOST}
        assert limited.used("pending") == limited.stored == MOST
        refusal = limited.post()
        assert (refusal.headers["retry-after"], "ratelimit" in refusal.headers) == ("2", False)
        assert refusal.json["detail"].startswith(f"With 1 more this client would be above its limit of {MOST} pending")


def test_refused_and_replayed_requests_do_not_count_as_pending(limited: Limited) -> None:
    first = limited.post(idempotency_key="k")
    for _ in range(2 * MOST):
        assert limited.client.notify("nobody").status == 422
    answers = [limited.post(idempotency_key="k") for _ in range(2 * MOST)]
    assert {(answer.status, answer.raw) for answer in answers} == {(201, first.raw)}

    assert limited.batch(MOST - 1).status == 201
    assert limited.stored == MOST


def test_a_replay_is_answered_although_the_pending_limit_is_reached(limited: Limited) -> None:
    first = limited.post(idempotency_key="k")
    counting(lambda: flood(limited, 3 * MOST) == {429: 3 * MOST})

    assert {limited.post(idempotency_key="k").raw for _ in range(10)} == {first.raw}
    counting(lambda: limited.post(idempotency_key=str(uuid4())).status == 429)
