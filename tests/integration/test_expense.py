"""Exact costs of each hot path in statements, transactions and round trips, equal on every machine.

Seconds are for benchmarks/. Who makes one of these numbers grow changes the table below, and says why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import redis

from actors.queue.broker import get_broker
from actors.queue.priorities import MAIN as QUEUE
from actors.queue.wake_up import messages
from api.store import NotificationStore
from cli.servers.postgres import Postgres
from cli.servers.valkey import Valkey
from db import lifecycle
from settings import Settings
from tests import keys, loops
from tests.client import NOTIFICATIONS, Client
from tests.environment import configured
from tests.eventually import eventually
from tests.expense import Expense, Spending, log_statements, queued, statements, transactions, unlogged
from tests.integration.api import Api, running
from tests.integration.delivering import Process
from tests.integration.rows import attempt, draft

broker = get_broker()

TABLE = {
    # One INSERT, which is its own transaction. The wake-up message: one MULTI with HSET and RPUSH, sent at once.
    "a POST alone": Expense(statements=1, transactions=1, trips=1),
    # The key is stored by the same INSERT.
    "a POST with an Idempotency-Key": Expense(statements=1, transactions=1, trips=1),
    # The INSERT that finds the key taken, and a SELECT of what it stands for. No wake-up message.
    "the same POST again": Expense(statements=2, transactions=2, trips=0),
    # Five scripts more: the day is looked at, the rate and the day are counted, both are read for the headers.
    "a POST alone, under a rate limit and a daily quota": Expense(statements=1, transactions=1, trips=6),
    # BEGIN, one INSERT for all, COMMIT. All wake-up messages in one MULTI.
    "a batch of 100": Expense(statements=3, transactions=1, trips=1),
    # One INSERT for all, up to ACCEPT_BATCH of them. All wake-up messages in one MULTI.
    "200 POSTs at the same moment": Expense(statements=1, transactions=1, trips=1),
    # One UPDATE for the list.
    "the claim of 50": Expense(statements=1, transactions=1, trips=0),
    # One statement for the outcomes and the attempts of all that wait to be recorded.
    "the settlement of 50": Expense(statements=1, transactions=1, trips=0),
    # The fetch and the acknowledgement.
    "a wake-up message of 50": Expense(statements=0, transactions=0, trips=2),
}
# Asked for at most once in KEY_CACHE or BACKLOG_INTERVAL seconds, however many requests come: no part of one.
NOT_PER_REQUEST = ("FROM keys", "UPDATE keys", "backlog_counts")
# Few messages, so that all of them fit into one write of redis-py, which Redis reads at once.
SPREAD = 4
WARM = 2  # times: then a connection has prepared what it runs
NOTIFICATION = {"type": "email", "recipient": "a@example.com", "message": "Hello"}


@pytest.fixture(scope="module", autouse=True)
def logged(module_database_url: str) -> None:
    log_statements(module_database_url)


@pytest.fixture
def spend(postgres_server: Postgres, redis_url: str) -> Iterator[Callable[[], Spending]]:
    """Begins to count."""
    assert postgres_server.log is not None
    log = postgres_server.log
    with redis.Redis.from_url(redis_url) as client:
        client.ping()
        broker.client.ping()  # What opening a connection says is said now.
        yield lambda: Spending(log, client)


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url, auth="required", wake_up_spread=SPREAD) as api:
        yield api


@pytest.fixture
def post(api: Api, redis_url: str) -> Iterator[Callable[..., None]]:
    """Posts with a key; some already, so that all connections are open and have prepared what they run."""
    with Client(api.port) as client:
        client.key = str(keys.key(api.sql))

        def post(document: Any, path: str = NOTIFICATIONS, **headers: str) -> None:
            answer = client.post(path, document, **headers)
            assert answer.status == 201, answer.raw

        with redis.Redis.from_url(redis_url) as redis_client:
            for _ in range(WARM):
                post(NOTIFICATION)
                post(NOTIFICATION, idempotency_key=str(uuid4()))
            post({"items": [NOTIFICATION]}, f"{NOTIFICATIONS}/batch")
            eventually(lambda: queued(redis_client, QUEUE) == 2 * WARM + 1)
            redis_client.flushall()
        yield post


def test_a_single_post_costs_the_listed_statements_and_commands(
    post: Callable[..., None], spend: Callable[[], Spending]
) -> None:
    spent = spend()
    post(NOTIFICATION)
    spent.until_queued(QUEUE, 1)

    assert spent.total(NOT_PER_REQUEST) == TABLE["a POST alone"]


def test_a_post_of_a_limited_client_costs_the_listed_statements_and_commands(
    module_database_url: str, redis_url: str, spend: Callable[[], Spending]
) -> None:
    limits: dict[str, Any] = {"rate_limit": 1_000, "daily_quota": 1_000, "limits_timeout": 10}
    with running(module_database_url, redis_url, auth="required", **limits) as api, Client(api.port) as client:
        client.key = str(keys.key(api.sql))
        for number in range(1, WARM + 2):  # The first one brings Redis the scripts.
            spent = spend()
            assert client.post(NOTIFICATIONS, NOTIFICATION).status == 201
            spent.until_queued(QUEUE, number)
        # While it runs: who hangs up is read from once more.
        assert spent.total(NOT_PER_REQUEST) == TABLE["a POST alone, under a rate limit and a daily quota"]


def test_a_post_with_an_idempotency_key_and_its_replay_cost_the_listed_statements(
    post: Callable[..., None], spend: Callable[[], Spending]
) -> None:
    key, spent = str(uuid4()), spend()
    post(NOTIFICATION, idempotency_key=key)
    spent.until_queued(QUEUE, 1)
    assert spent.total(NOT_PER_REQUEST) == TABLE["a POST with an Idempotency-Key"]

    again = spend()
    post(NOTIFICATION, idempotency_key=key)
    assert again.total(NOT_PER_REQUEST) == TABLE["the same POST again"]


def test_a_batch_costs_the_listed_statements_and_commands(
    post: Callable[..., None], spend: Callable[[], Spending]
) -> None:
    spent = spend()
    post({"items": [NOTIFICATION] * 100}, f"{NOTIFICATIONS}/batch")
    spent.until_queued(QUEUE, 100)

    assert spent.total(NOT_PER_REQUEST) == TABLE["a batch of 100"]


class Held:
    """Keeps what needs a lock waiting until it is let go."""

    def __init__(self, connection: Any, statement: str, *parameters: object) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._cursor.execute(statement, parameters)

    def waits(self) -> bool:
        """Return whether a session waits for a lock."""
        self._cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(self._cursor.fetchone()[0])

    def let_go(self) -> None:
        self._connection.rollback()


@contextmanager
def held(database_url: str, statement: str, *parameters: object) -> Iterator[Held]:
    """From this statement on."""
    with unlogged(database_url) as connection:
        yield Held(connection, statement, *parameters)


def test_200_simultaneous_posts_share_statements(
    store: Settings, module_database_url: str, spend: Callable[[], Spending]
) -> None:
    notifications = NotificationStore(store.changed(WAKE_UP_SPREAD=SPREAD))
    # It enqueues no wake-up message, so that only those of the others are counted.
    first = draft()._replace(send_at=datetime.now(UTC) + timedelta(hours=1))

    async def accept(lock: Held) -> Expense:
        storing = asyncio.create_task(notifications.accept(first))
        await asyncio.to_thread(eventually, lock.waits)
        spent = spend()
        others = [asyncio.create_task(notifications.accept(draft(f"{n}@example.com"))) for n in range(200)]
        await asyncio.sleep(0)  # Each of them has been asked for now.
        lock.let_go()
        await asyncio.gather(storing, *others)
        spent.until_queued(QUEUE, 200)
        return spent.total()

    with held(module_database_url, "LOCK TABLE notifications IN SHARE MODE") as lock:
        spent = asyncio.run(accept(lock))
    notifications.close()

    assert spent == TABLE["200 POSTs at the same moment"]


def test_claiming_and_settling_a_list_of_50_costs_the_listed_statements(
    store: Settings, module_database_url: str, spend: Callable[[], Spending]
) -> None:
    with configured(
        smtp_url="smtp://127.0.0.1:9", mail_from="a@example.com", database_url=store.database.url
    ) as current:
        process = Process(current, uuid4())
    ids = [stored.id for stored in lifecycle.accept([draft() for _ in range(51 + WARM)], 10)]
    # What a flusher's new connection says is said now.
    for id in ids[51:]:
        [early] = process.claim([id])
        assert process.settle(lifecycle.sent(early, attempt())).result(60)
    claiming = spend()
    [first, *others] = process.claim(ids[:51])
    assert len(others) == 50
    assert claiming.total() == TABLE["the claim of 50"]

    with held(module_database_url, "SELECT 1 FROM notifications WHERE id = %s FOR UPDATE", first.id) as lock:
        settling = process.settle(lifecycle.sent(first, attempt()))
        eventually(lock.waits)
        spent = spend()
        recording = [process.settle(lifecycle.sent(claimed, attempt())) for claimed in others]
        loops.run(asyncio.sleep(0))  # Each of them has been asked for now.
        lock.let_go()
        assert all(recorded.result(60) for recorded in [settling, *recording])
    process.close()

    assert spent.total() == TABLE["the settlement of 50"]


def test_fetching_and_acknowledging_a_wake_up_message_costs_the_listed_commands(spend: Callable[[], Spending]) -> None:
    consumer = broker.consume(QUEUE)
    for size in (1, 50):  # The first one brings Redis the scripts.
        broker.enqueue_all(messages(range(size), 1, 50))
        spent = spend()
        message = next(consumer)
        assert len(message.args[0]) == size
        consumer.ack(message)
        spent.until_queued(QUEUE, 0)

    assert spent.total() == TABLE["a wake-up message of 50"]


def test_the_statements_in_the_log_are_counted_by_session() -> None:
    log = (
        "2026-01-01 00:00:00.000 UTC [7] LOG:  statement: BEGIN\n"
        "2026-01-01 00:00:00.000 UTC [8] LOG:  statement: \n\t  UPDATE a\n\t  SET b = 'LOG:  statement: c'\n"
        "2026-01-01 00:00:00.000 UTC [7] LOG:  execute <unnamed>: SELECT 1\n"
        "2026-01-01 00:00:00.000 UTC [7] DETAIL:  parameters: $1 = '1'\n"
        "2026-01-01 00:00:00.000 UTC [7] LOG:  statement: COMMIT\n"
        "2026-01-01 00:00:00.000 UTC [9] LOG:  checkpoint starting: time\n"
    )
    said = statements(log)

    assert [session for session, _ in said] == ["7", "8", "7", "7"]
    assert transactions(said) == 2
