"""A Redis that answers and cannot be used is reported with the reason; the API accepts notifications meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from tests.eventually import eventually
from tests.scrapes import scraped
from tests.servers.redis_parts import doctor, redis_server, system
from tests.servers.stock_redis import StockRedis
from tests.smtp import SmtpServer
from tests.system import System

pytestmark = pytest.mark.long

Prepare = Callable[[redis.Redis], object]


def nothing(_: redis.Redis) -> None:
    """The options of the server are enough."""


def with_all_slots(client: redis.Redis) -> None:
    client.cluster("ADDSLOTSRANGE", 0, 16_383)
    eventually(lambda: client.cluster("INFO")["cluster_state"] == "ok")


def occupied(client: redis.Redis) -> None:
    client.set("mine:notifications.high", "something else")


def unable_to_save(client: redis.Redis) -> None:
    client.config_set("save", "1 1")
    client.config_set("dbfilename", "folder")


CASES: dict[str, tuple[list[str], Prepare, str]] = {
    "a cluster without slots": (["--cluster-enabled", "yes"], nothing, "cluster mode"),
    "a cluster with all slots": (["--cluster-enabled", "yes"], with_all_slots, "cluster mode"),
    "full": (["--maxmemory", "1mb"], nothing, "it is full (OOM)"),
    "a replica": (["--replicaof", "127.0.0.1 9"], nothing, "it is a replica"),
    "too few replicas": (["--min-replicas-to-write", "1"], nothing, "too few replicas"),
    "too old": (["--rename-command", "BLMOVE", ""], nothing, "it does not know BLMOVE"),
    "a command renamed away": (["--rename-command", "KEYS", ""], nothing, "it does not know KEYS"),
    "a transaction renamed away": (["--rename-command", "MULTI", ""], nothing, "it does not know MULTI"),
    "other data": ([], occupied, "of another type under our keys"),
    "a password": (["--requirepass", "geheim"], nothing, "it refuses the user or the password"),
}


@contextmanager
def broken(case: str) -> Iterator[tuple[StockRedis, str]]:
    """The server of a case, and its reason."""
    options, prepare, reason = CASES[case]
    with redis_server(*options) as server:
        with server.client as client:
            prepare(client)
        yield server, reason


@pytest.mark.parametrize("case", CASES)
def test_doctor_reports_an_unusable_redis_as_a_problem_with_its_fix(case: str, database_url: str) -> None:
    with broken(case) as (server, reason):
        code, found = doctor(database_url, server.url, redis_namespace="mine")
    assert code == 1
    assert [one for one in found if one["level"] == "problem" and reason in one["what"] and one["fix"]]


@pytest.mark.parametrize("case", ["a cluster with all slots", "full"])
def test_readyz_metrics_and_log_show_an_unusable_redis_and_posts_are_accepted(
    case: str, tmp_path: Path, database_url: str
) -> None:
    with broken(case) as (server, reason):
        running = system(tmp_path, database_url, server.url, redis_namespace="mine")
        running._is_ready = lambda: _told(running) != ""  # type: ignore[method-assign]
        try:
            running.start_api()
            assert reason in _told(running)
            assert running.client.get("/readyz").status == 503
            assert running.client.notify("a@example.com").status == 201
            assert scraped(running.client).sum("notify_redis_usable") == 0
            log = (running.directory / "api.log").read_text()
            assert log.count('"event":"redis.unusable"') == 1
        finally:
            running.stop()


def _told(running: System) -> str:
    try:
        return str(running.client.get("/readyz").json["checks"]["redis"])
    except ConnectionError:
        return ""


def test_doctor_runs_the_other_checks_if_redis_refuses_info(database_url: str) -> None:
    with redis_server("--rename-command", "INFO", "") as server:
        _, found = doctor(database_url, server.url, redis_namespace="mine")
    assert [one["level"] for one in found] == ["warning", "ok"], found
    assert "version and memory are unknown, because it refuses INFO" in found[0]["what"]


def test_a_redis_that_cannot_write_its_disk_is_reported(database_url: str) -> None:
    with redis_server("--enable-protected-configs", "yes") as server, server.client as client:
        (server.directory / "folder").mkdir()
        unable_to_save(client)
        client.set("x", 1)
        eventually(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", within=30)
        code, found = doctor(database_url, server.url)
        assert code == 1
        assert "MISCONF" in json.dumps(found)


def test_an_unknown_database_number_is_reported(database_url: str, stock_redis_url: str) -> None:
    code, found = doctor(database_url, stock_redis_url.removesuffix("0") + "99")
    assert code == 1
    assert "it has no database with that number" in json.dumps(found)


@pytest.mark.parametrize("query", ["", "?protocol=2", "?protocol=3&client_name=ours&health_check_interval=1"])
def test_doctor_finds_no_problem_with_a_healthy_redis(database_url: str, stock_redis_url: str, query: str) -> None:
    _, found = doctor(database_url, stock_redis_url + query)
    assert [one["what"] for one in found if one["level"] == "problem"] == []
    assert [one for one in found if one["what"].startswith("a message passes through it, under the namespace notify:")]
    with redis.Redis.from_url(stock_redis_url) as client:
        assert client.keys("*") == []  # the probe leaves nothing behind


def test_a_worker_logs_that_redis_is_unusable_and_continues_when_the_fault_is_over(
    tmp_path: Path, database_url: str, smtp_server: SmtpServer
) -> None:
    with redis_server("--maxmemory", "1mb") as server:
        running = system(tmp_path, database_url, server.url, smtp_server.url)
        try:
            running._is_ready = lambda: _told(running) != ""  # type: ignore[method-assign]
            running.start_api()
            running.start_workers()
            assert running.client.notify("a@example.com").status == 201
            log = running.directory / "workers-1.log"
            eventually(lambda: '"event":"redis.unusable"' in log.read_text(), saying=running.logs)
            assert "it is full (OOM)" in log.read_text()
            with server.client as client:
                client.config_set("maxmemory", "0")
            eventually(lambda: smtp_server.mails, within=60, saying=running.logs)
            eventually(lambda: running.client.get("/readyz").status == 200, saying=running.logs)
            eventually(lambda: '"event":"redis.usable"' in log.read_text(), within=60, saying=running.logs)
        finally:
            running.stop()
