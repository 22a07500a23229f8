"""The rights that docs/redis.md lists are enough for everything, and each that is missing is named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import redis

from actors.queue import redis_pools, redis_probe
from actors.queue.broker import NotificationBroker
from actors.queue.redis_faults import Fault
from tests.environment import configured
from tests.eventually import eventually
from tests.processes import ROOT
from tests.servers.redis_parts import doctor, redis_server, system
from tests.servers.stock_redis import StockRedis
from tests.smtp import SmtpServer

DOCUMENTED = "notify:0123456789ab"
NAMESPACE = "ours"
FOR_DOCTOR = {"+select", "+client|setname", "+info", "+config|get", "+scan"}


def rights() -> list[str]:
    """The words of the documented ACL SETUSER, behind the user's name, for our namespace."""
    page = (ROOT / "docs" / "redis.md").read_text()
    block: str
    [block] = re.findall(r"ACL SETUSER notify (on .*?)```", page, re.DOTALL)
    return block.replace(DOCUMENTED, NAMESPACE).split()


@pytest.fixture(scope="module")
def server() -> Iterator[StockRedis]:
    with redis_server() as running:
        yield running


def url(server: StockRedis, words: list[str], database: int = 0) -> str:
    """REDIS_URL of the user `notify` with these rights."""
    with server.client as client:
        client.flushall()
        client.execute_command("ACL", "SETUSER", "notify", "reset", *words)
    return f"redis://notify:password@127.0.0.1:{server.port}/{database}"


def fault(redis_url: str) -> Fault | None:
    with configured(redis_url=redis_url, redis_namespace=NAMESPACE) as current:
        pool = redis_pools.pool(current.redis, 5)
        broker = NotificationBroker(
            pool, find_namespace=partial(str, NAMESPACE), wait=1, heartbeat_timeout=60, middleware=[]
        )
        try:
            return redis_probe.fault(broker)
        finally:
            pool.disconnect()


def test_everything_works_with_the_documented_rights(
    server: StockRedis, tmp_path: Path, database_url: str, smtp_server: SmtpServer
) -> None:
    redis_url = url(server, rights(), database=1) + "?client_name=ours"
    with server.client as client:
        client.acl_log_reset()
    limits = {"rate_limit": 1_000, "daily_quota": 1_000, "limits_fail": "closed"}
    running = system(tmp_path, database_url, redis_url, smtp_server.url, redis_namespace=NAMESPACE, **limits)
    try:
        running.start_api()
        running.start_workers()
        for n in range(20):
            assert running.client.notify(f"{n}@example.com").status == 201
        eventually(lambda: len(smtp_server.mails) == 20, within=60, saying=running.logs)
        assert running.client.get("/readyz").json["checks"]["redis"] == "ok"
    finally:
        running.stop()
    _, found = doctor(database_url, redis_url, redis_namespace=NAMESPACE)
    assert [one["what"] for one in found if one["level"] == "problem"] == []
    with server.client as client:
        refused = {entry["object"] for entry in client.acl_log()}
    # What redis-py tells the server about itself it may not; nothing depends on it.
    assert refused <= {"client|setinfo", "client|maint_notifications"}


NEEDED = [word for word in rights() if word[0] in "+~" and word not in FOR_DOCTOR]


@pytest.mark.parametrize("word", NEEDED)
def test_each_missing_right_is_reported(server: StockRedis, word: str) -> None:
    found = fault(url(server, [other for other in rights() if other != word]))
    assert found is not None
    named = word if word.startswith("~") else word[1:].replace("|", " ").upper()
    assert named in re.split(r"[ ,]+(?!LOAD)", found.what), found


def test_doctor_names_several_missing_rights_at_once(server: StockRedis, database_url: str) -> None:
    words = [word for word in rights() if word not in ("+keys", "+rename", f"~{NAMESPACE}")]
    code, found = doctor(database_url, url(server, words), redis_namespace=NAMESPACE)
    assert code == 1
    [said] = [one["what"] for one in found if one["level"] == "problem"]
    assert said.endswith(f"its user may not run KEYS, RENAME and may not use the keys ~{NAMESPACE}")


def test_doctor_needs_no_right_that_only_it_would_use(server: StockRedis, database_url: str) -> None:
    words = [word for word in rights() if word not in FOR_DOCTOR]
    _, found = doctor(database_url, url(server, words), redis_namespace=NAMESPACE)
    assert [one["what"] for one in found if one["level"] == "problem"] == []
    assert [one for one in found if one["what"].startswith("a message passes through it")]


def test_a_discarded_transaction_changes_nothing(server: StockRedis) -> None:
    assert fault(url(server, rights())) is None
    with server.client as client:
        assert client.keys("*") == [f"{NAMESPACE}:__heartbeats__".encode()]


def test_doctor_does_not_show_the_password(server: StockRedis, database_url: str) -> None:
    wrong = url(server, rights()).replace("password", "geheim-geheim")
    code, found = doctor(database_url, wrong)
    assert code == 1
    assert "it refuses the user or the password" in str(found)
    assert "geheim" not in str(found)


def test_the_documented_user_may_not_read_the_keys_of_others(server: StockRedis) -> None:
    """Redis itself refuses: the documented user is no synonym of the default one."""
    redis_url = url(server, rights())
    with redis.Redis.from_url(redis_url) as client, pytest.raises(redis.exceptions.NoPermissionError):
        client.get("another:key")
