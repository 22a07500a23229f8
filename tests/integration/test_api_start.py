"""The API refuses to start with a sentence that says what to put right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from cli.servers.postgres import Postgres
from cli.servers.valkey import Valkey
from tests.embedded import Databases
from tests.eventually import eventually
from tests.integration.api import NOWHERE
from tests.processes import Group
from tests.queries import Queries
from tests.system import System

SECRET = "hunter2"

# What is changed in the environment, and what is then said.
FAULTS = {
    "no database": ({"database_url": ""}, "DATABASE_URL is not set: give PostgreSQL as "),
    "no redis": ({"redis_url": ""}, "REDIS_URL is not set: give Redis as "),
    "another database": ({"database_url": "mysql://h/d"}, "DATABASE_URL does not start with postgresql://: "),
    "another broker": ({"redis_url": "amqp://h"}, "REDIS_URL does not start with redis://: "),
    "no such database": ({"database_url": "{server}/nope"}, "DATABASE_URL leads to no database that answers: "),
    "nobody there": ({"database_url": "postgresql://u:hunter2@127.0.0.1:9/d"}, "Connection refused"),
    "a broken database url": ({"database_url": "postgresql://u:hunter2%zz@h/d"}, "DATABASE_URL"),
    "a broken redis url": ({"redis_url": "redis://:hunter2@h:port/0"}, "REDIS_URL"),
    "not migrated": ({"database_url": "{server}/postgres"}, "run `notify migrate`"),
    "a newer schema": (
        {"database_url": "{newer}"},
        "9999_later_after, which removed what this version may need, and which",
    ),
    "no port": ({"bind": "127.0.0.1"}, "BIND is '127.0.0.1': give host:port"),
    "half a key": ({"auth": "optional"}, "AUTH is 'optional': give one of required, off"),
    "no number": ({"body_limit": "1MB"}, "BODY_LIMIT is '1MB': give a number from "),
    "out of bounds": ({"web_concurrency": "0"}, "WEB_CONCURRENCY is '0': give a number from 1 to 256"),
    "a bad mail server": ({"smtp_url": "http://u:hunter2@h"}, "SMTP_URL must look like smtp://"),
}


class Refusal(NamedTuple):
    code: int
    said: str


@pytest.fixture(scope="module")
def refusals(
    databases: Databases, postgres_server: Postgres, redis_server: Valkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Refusal]]:
    """Refusals to start, by fault; all faults are tried at the same time."""
    with databases.new() as url:
        Queries(url).rows("INSERT INTO schema_migration (name, applied) VALUES ('9999_later_after', now()) RETURNING 1")
        places = {"{newer}": url, "{server}/nope": postgres_server.url_of("nope")}
        places["{server}/postgres"] = postgres_server.url_of("postgres")
        system = System(
            tmp_path_factory.mktemp("start"), database_url=url, redis_url=redis_server.url, smtp_url=NOWHERE
        )
        groups = {}
        for name, (changes, _) in FAULTS.items():
            changed = {key.upper(): places.get(value, value) for key, value in changes.items()}
            groups[name] = Group(["gunicorn"], system.environ | changed, system.directory / f"{name}.log")
        yield {name: _ended(group) for name, group in groups.items()}


def _ended(group: Group) -> Refusal:
    eventually(lambda: not group.running, within=30)
    return Refusal(group.stop(), Path(group.log).read_text())


@pytest.mark.parametrize("fault", FAULTS)
def test_a_start_that_must_fail_prints_one_sentence(refusals: dict[str, Refusal], fault: str) -> None:
    code, said = refusals[fault]
    sentences = [line for line in said.splitlines() if line.startswith("cannot start: ")]

    assert FAULTS[fault][1] in said
    assert len(sentences) == 1, said
    assert "Traceback" not in said
    assert SECRET not in said
    assert code == 4
