"""The doctor's findings on servers that no test can start: old, new, slow, read-only, far away, with another time."""

from __future__ import annotations

import time
from typing import Any

import pytest

from cli.doctor import postgresql, redis_server
from cli.doctor.findings import OK, PROBLEM, WARNING
from db import diagnosis
from db.diagnosis import Headroom, Server
from settings import Settings

WELL = Server(170_002, "17.2", replica=False, clear=False)


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database on another machine, with our time."""
    monkeypatch.setattr(diagnosis, "clock", time.time)
    monkeypatch.setattr(diagnosis, "on_this_machine", lambda: False)


def told(monkeypatch: pytest.MonkeyPatch, server: Server) -> list[tuple[str, str]]:
    monkeypatch.setattr(diagnosis, "server", lambda: server)
    return [(one.level, one.fix) for one in postgresql._server() if one.level != OK]


def test_a_healthy_server_has_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(monkeypatch, WELL) == []


@pytest.mark.parametrize(
    ("server", "level", "fix"),
    [
        (WELL._replace(version=130_010, release="13.10"), PROBLEM, "this version is too old: use 14 or newer"),
        (
            WELL._replace(version=190_000, release="19.0"),
            WARNING,
            "use 18 or older: this project is not tested with newer versions",
        ),
        (WELL._replace(clear=True), WARNING, "add ?sslmode=verify-full to DATABASE_URL"),
    ],
)
def test_an_unsupported_version_or_unencrypted_connection_is_reported(
    monkeypatch: pytest.MonkeyPatch, server: Server, level: str, fix: str
) -> None:
    assert told(monkeypatch, server) == [(level, fix)]


def test_a_replica_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    [(level, fix)] = told(monkeypatch, WELL._replace(replica=True))
    assert level == PROBLEM
    assert fix.startswith("point DATABASE_URL at the primary")


def test_a_database_that_is_slow_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "SLOW", 0.0)
    assert told(monkeypatch, WELL) == [(WARNING, "this is slow: run it in the same data centre")]


@pytest.mark.parametrize(("apart", "said"), [(60, "60 s ahead of"), (-60, "60 s behind")])
def test_clocks_that_differ_are_a_warning(monkeypatch: pytest.MonkeyPatch, apart: float, said: str) -> None:
    monkeypatch.setattr(diagnosis, "clock", lambda: time.time() + apart)
    found = postgresql._clock()
    assert (found.level, said in found.what) == (WARNING, True)


@pytest.mark.parametrize(("age", "levels"), [(5, [OK]), (1_100_000_000, [OK, WARNING]), (2_000_000_000, [OK, PROBLEM])])
def test_transaction_ids_that_run_out_are_reported_in_time(
    monkeypatch: pytest.MonkeyPatch, age: int, levels: list[str]
) -> None:
    monkeypatch.setattr(diagnosis, "room", lambda: Headroom(90, 0.0, age))
    assert [one.level for one in postgresql._room(Settings())] == levels


@pytest.mark.parametrize(
    ("known", "level", "name"),
    [
        ({"redis_version": "7.2.4", "valkey_version": "9.1.2"}, OK, "Valkey 9.1.2"),
        ({"redis_version": "6.2.0"}, OK, "Redis 6.2.0"),
        ({"redis_version": "6.0.16"}, PROBLEM, "Redis 6.0.16"),
        ({"redis_version": "10.0"}, OK, "Redis 10.0"),
        ({}, PROBLEM, "Redis 0"),
    ],
)
def test_a_redis_that_lacks_a_needed_command_is_a_problem(known: dict[str, Any], level: str, name: str) -> None:
    found = redis_server._version(known, 0.001)
    assert (found.level, found.what) == (level, f"{name} answers in 1.0 ms")


def test_a_redis_that_is_slow_is_a_warning() -> None:
    assert redis_server._version({"redis_version": "7.0"}, 0.5).level == WARNING


def test_a_redis_that_takes_no_writes_is_a_problem() -> None:
    assert [one.level for one in redis_server._state({"role": "slave", "loading": 1})] == [PROBLEM, WARNING]
    assert list(redis_server._state({"role": "master", "loading": 0})) == []


def test_a_redis_that_is_nearly_full_is_a_warning() -> None:
    full = {"maxmemory_policy": "noeviction", "maxmemory": 100, "used_memory": 95}
    assert [one.what for one in redis_server._memory(full)] == ["95% of maxmemory is used"]
    assert list(redis_server._memory(full | {"used_memory": 50})) == []
