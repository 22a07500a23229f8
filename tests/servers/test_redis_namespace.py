"""Several installations on one Redis: messages and counters are separate, and other installations are reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from dramatiq.brokers.redis import RedisBroker

from tests import embedded
from tests.eventually import eventually
from tests.queries import Queries
from tests.servers.redis_parts import doctor, environment, notify, system
from tests.smtp import SmtpServer
from tests.system import System

pytestmark = pytest.mark.long

QUEUE = "notifications"


def namespace(database_url: str) -> str:
    [(id,)] = Queries(database_url).rows("SELECT id FROM installation")
    return f"notify:{str(id).replace('-', '')[:12]}"


@pytest.fixture
def restored_url(databases: embedded.Databases, database_url: str) -> Iterator[str]:
    """A database with the identity of `database_url`, as if restored from a dump of it."""
    [(identity,)] = Queries(database_url).rows("SELECT id::text FROM installation")
    with databases.new() as url:
        Queries(url).rows("UPDATE installation SET id = %s RETURNING 1", identity)
        yield url


@pytest.fixture
def other_url(restored_url: str) -> str:
    """Another installation's."""
    Queries(restored_url).rows("UPDATE installation SET id = gen_random_uuid() RETURNING 1")
    return restored_url


Starting = Callable[..., System]


@pytest.fixture
def starting(tmp_path: Path) -> Iterator[Starting]:
    """Makes Systems; what they have started is stopped in the end."""
    made: list[System] = []

    def make(database_url: str, redis_url: str, **settings: Any) -> System:
        made.append(system(tmp_path / str(len(made)), database_url, redis_url, **settings))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def until_it_is_there(redis_url: str, namespace: str) -> None:
    """Wait until a worker has said that it uses this namespace."""
    with redis.Redis.from_url(redis_url) as client:
        eventually(lambda: client.exists(f"{namespace}:__installations__"), within=60)


def length(redis_url: str, key: str) -> int:
    with redis.Redis.from_url(redis_url) as client:
        return int(client.llen(key))


def test_two_installations_on_one_redis_use_only_their_own_keys(
    database_url: str, other_url: str, stock_redis_url: str, smtp_server: SmtpServer, starting: Starting
) -> None:
    here, there = (
        starting(url, stock_redis_url, smtp_url=smtp_server.url, rate_limit=3, relay_grace=600)
        for url in (database_url, other_url)
    )
    here.start_api()
    there.start_api()
    there.start_workers()
    assert [here.client.notify(f"{n}@here.example").status for n in range(4)] == [201, 201, 201, 429]
    assert there.client.notify("1@there.example").status == 201

    # RELAY_GRACE is long: what comes, comes by its message.
    eventually(lambda: smtp_server.mails, within=60, saying=there.logs)
    key = f"{namespace(database_url)}:{QUEUE}"
    eventually(lambda: length(stock_redis_url, key) > 0)
    here.start_workers()
    eventually(lambda: len(smtp_server.mails) == 4, within=60, saying=here.logs)
    with redis.Redis.from_url(stock_redis_url, decode_responses=True) as client:
        ours = {namespace(database_url), namespace(other_url)}
        assert {":".join(name.split(":")[:2]) for name in client.scan_iter()} == ours

    _, found = doctor(database_url, stock_redis_url)
    said = [one for one in found if "another installation uses it" in one["what"]]
    assert [(one["level"], namespace(other_url) in one["what"]) for one in said] == [("warning", True)]


@pytest.mark.parametrize(("api", "workers"), [("dramatiq", ""), ("", "dramatiq")])
def test_notifications_enqueued_in_the_namespace_of_an_older_version_are_sent(  # noqa: PLR0917
    api: str, workers: str, database_url: str, stock_redis_url: str, smtp_server: SmtpServer, starting: Starting
) -> None:
    running = starting(database_url, stock_redis_url, smtp_url=smtp_server.url)
    running.start_api(redis_namespace=api)
    for n in range(20):
        assert running.client.notify(f"{n}@example.com").status == 201
    key = f"{api or namespace(database_url)}:{QUEUE}"
    eventually(lambda: length(stock_redis_url, key) > 0)
    running.start_workers(redis_namespace=workers)
    eventually(lambda: len(smtp_server.mails) == 20, within=60, saying=running.logs)
    assert len({mail.recipients[0] for mail in smtp_server.mails}) == 20


def test_two_databases_that_claim_one_namespace_are_reported(
    database_url: str, other_url: str, stock_redis_url: str, starting: Starting
) -> None:
    given = {"redis_namespace": "shared"}
    starting(database_url, stock_redis_url, **given).start_workers()
    until_it_is_there(stock_redis_url, "shared")
    _, alone = doctor(database_url, stock_redis_url, **given)
    assert not [one for one in alone if "another database" in one["what"]]
    code, found = doctor(other_url, stock_redis_url, **given)
    assert code == 1
    [said] = [one for one in found if "another database" in one["what"]]
    assert (said["level"], "REDIS_NAMESPACE" in said["fix"]) == ("problem", True)

    second = starting(other_url, stock_redis_url, **given)
    second.start_workers()
    log = second.directory / "workers-1.log"
    eventually(lambda: "redis.namespace_shared" in log.read_text(), within=60, saying=second.logs)


def test_a_restored_dump_on_the_same_redis_is_reported(
    database_url: str, restored_url: str, stock_redis_url: str, starting: Starting
) -> None:
    assert namespace(database_url) == namespace(restored_url)
    starting(database_url, stock_redis_url).start_workers()
    until_it_is_there(stock_redis_url, namespace(database_url))
    code, found = doctor(restored_url, stock_redis_url)
    assert code == 1
    assert [one for one in found if "another database" in one["what"] and "restored dump" in one["fix"]]


def test_commands_and_other_tools_of_dramatiq_see_the_queues_by_the_namespace(
    database_url: str, stock_redis_url: str, starting: Starting
) -> None:
    running = starting(database_url, stock_redis_url)
    running.start_api()
    assert running.client.notify("a@example.com").status == 201
    foreign = RedisBroker(url=stock_redis_url, namespace=namespace(database_url))
    with foreign.client:
        eventually(lambda: foreign.do_qsize(QUEUE) == 1)
    shown = notify("queues", "--json", **environment(database_url, stock_redis_url))
    assert '"queued":1' in shown.stdout, shown.stderr


def test_commands_name_the_table_of_the_installation_if_it_is_empty(database_url: str, stock_redis_url: str) -> None:
    Queries(database_url).rows("DELETE FROM installation RETURNING 1")
    _, found = doctor(database_url, stock_redis_url)
    assert [one for one in found if "was not tried" in one["what"]]
    shown = notify("queues", **environment(database_url, stock_redis_url))
    assert "the table installation is missing or empty" in shown.stderr
