"""A worker that cannot work prints one sentence that names the setting, and ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.servers.postgres import Postgres
from cli.servers.valkey import Valkey
from tests.embedded import Databases
from tests.eventually import eventually
from tests.integration.api import NOWHERE
from tests.processes import Group
from tests.system import System

SECRET = "hunter2"
FAULTS = {
    "a mail server of another kind": ({"smtp_url": f"http://u:{SECRET}@h"}, "SMTP_URL must look like smtp://"),
    "no mail server": ({"smtp_url": ""}, "SMTP_URL is not set: give the mail server as "),
    "no sender": ({"mail_from": ""}, "MAIL_FROM is not set: give the sender's address"),
    "a sender that is none": ({"mail_from": "Shop"}, "MAIL_FROM is not a mail address: give "),
    "no redis": ({"redis_url": ""}, "REDIS_URL is not set: give Redis as "),
    "a broken redis url": ({"redis_url": f"redis://:{SECRET}@h:port/0"}, "REDIS_URL is malformed: give "),
    "a broken database url": ({"database_url": f"postgresql://u:{SECRET}%zz@h/d"}, "DATABASE_URL is malformed: give "),
    "nobody there": ({"database_url": f"postgresql://u:{SECRET}@127.0.0.1:9/d"}, "DATABASE_URL leads to no database"),
    "not migrated": ({"database_url": "{server}/postgres"}, "run `notify migrate`"),
}


@pytest.fixture(scope="module")
def said(
    databases: Databases, postgres_server: Postgres, redis_server: Valkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, tuple[int, str]]]:
    """Exit code and output of a worker for each fault, all tried at the same time."""
    empty = postgres_server.url_of("postgres")
    with databases.new() as url:
        directory = tmp_path_factory.mktemp("start")
        system = System(directory, database_url=url, redis_url=redis_server.url, smtp_url=NOWHERE)
        groups = {}
        for name, (changes, _) in FAULTS.items():
            changed = {key.upper(): value.replace("{server}/postgres", empty) for key, value in changes.items()}
            command = ["dramatiq", "actors", "-p", "1", "-t", "1"]
            groups[name] = Group(command, system.environ | changed, directory / f"{name}.log")
        yield {name: _ended(group) for name, group in groups.items()}


def _ended(group: Group) -> tuple[int, str]:
    eventually(lambda: not group.running, within=60)
    return group.stop(), Path(group.log).read_text()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_worker_start_that_must_fail_prints_one_sentence(said: dict[str, tuple[int, str]], fault: str) -> None:
    code, words = said[fault]
    sentences = [line for line in words.splitlines() if line.startswith("cannot start: ")]
    assert len(sentences) == 1, words
    assert FAULTS[fault][1] in sentences[0]
    assert code != 0
    assert SECRET not in words
    assert "Traceback" not in words
