"""Three mail providers for one system: outages, commands of operators, and what arrives."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from cli.servers.valkey import Valkey
from tests.eventually import eventually
from tests.load import Load
from tests.smtp import SmtpServer
from tests.system import System

pytestmark = pytest.mark.long

NOTIFY = Path(sys.executable).with_name("notify")
NAMES = ("north", "south", "west")
COUNT = 1_200  # notifications


class Trio(NamedTuple):
    """The system and its three mail servers."""

    system: System
    servers: dict[str, SmtpServer]

    def post(self, count: int) -> dict[int, str]:
        """Post so many notifications; return recipients by id."""
        load = Load(self.system.port, (f"{self.system.port}-{n}@example.com" for n in range(count)), 8).start().finish()
        assert load.refused == []
        return load.accepted

    def finish(self, accepted: dict[int, str], within: float = 60) -> None:
        """Wait until all have ended."""
        unfinished = self.system.sql.unfinished
        eventually(lambda: not unfinished(list(accepted)), within, saying=lambda: unfinished(list(accepted)), every=0.1)

    def copies(self) -> Counter[str]:
        """How many copies each recipient got, from all servers together."""
        return Counter(to for server in self.servers.values() for mail in server.mails for to in mail.recipients)

    def notify(self, *words: str) -> str:
        """Run a command of `notify` and return its output."""
        done = subprocess.run(
            [NOTIFY, *words], env=self.system.environ, capture_output=True, text=True, timeout=240, check=True
        )
        return done.stdout


@pytest.fixture
def trio(database_url: str, redis_server: Valkey, redis_url: str, tmp_path: Path) -> Iterator[Trio]:
    with ExitStack() as stack:
        servers = {name: stack.enter_context(SmtpServer()) for name in NAMES}
        urls = {f"provider_{name}": server.url for name, server in servers.items()}
        system = System(tmp_path, database_url=database_url, redis_url=redis_url, smtp_url="", **urls)
        stack.callback(system.stop)
        system.start_api()
        system.start_workers(2)
        yield Trio(system, servers)


def test_the_death_of_one_of_three_providers_fails_charges_and_doubles_nothing(trio: Trio) -> None:
    trio.servers["north"].delay = 0.01
    load = Load(trio.system.port, (f"r{n}@example.com" for n in range(COUNT)), 8).start()
    eventually(lambda: len(trio.servers["north"].mails) > 100, within=30)
    trio.servers["north"].stop()
    accepted = load.finish().accepted
    assert len(accepted) == COUNT

    sql, ids = trio.system.sql, list(accepted)
    # The last byte of a mail may have left before the end, without an answer: only the same server may send it again.
    bound = "SELECT count(*) FROM notifications WHERE status = 'pending' AND bound_provider = 'north'"
    eventually(lambda: len(sql.unfinished(ids)) == sql.rows(bound)[0][0], within=60, every=0.1)
    assert sql.statuses(ids)["failed"] == 0
    trio.servers["north"].start()
    sql.rows(
        "UPDATE notifications SET next_attempt_at = now(), dispatch_after = now() WHERE status = 'pending' RETURNING id"
    )
    trio.finish(accepted)

    assert sql.statuses(ids) == Counter(sent=COUNT)
    unknown = sql.rows("SELECT count(*) FROM attempts WHERE outcome = 'uncertain'")[0][0]
    broken_off = sql.rows("SELECT count(*) FROM attempts WHERE outcome = 'deferred' AND phase = 'content'")[0][0]
    charged = sql.rows("SELECT count(*) FROM notifications WHERE retry_count > 0")[0][0]
    assert charged <= unknown + broken_off <= 40
    copies = trio.copies()
    assert set(copies) == set(accepted.values())
    assert sum(number > 1 for number in copies.values()) <= unknown


def test_operators_list_disable_and_weigh_providers(trio: Trio) -> None:
    listed = [json.loads(line) for line in trio.notify("providers", "--json").splitlines()]
    assert [(one["name"], one["enabled"], one["workers"]) for one in listed] == [(name, True, 2) for name in NAMES]
    assert "works" in trio.notify("providers")

    assert trio.notify("providers", "disable", "north") == "north: disabled, weight 1\n"
    assert trio.notify("providers", "disable", "west") == "west: disabled, weight 1\n"
    # The workers hear of it in their next round.
    only = trio.system.sql
    seen = only.rows("SELECT max(seen_at) FROM workers")[0][0]
    eventually(lambda: only.rows("SELECT min(seen_at) > %s FROM workers", seen)[0][0])
    eventually(lambda: only.rows("SELECT min(seen_at) > %s + interval '1 second' FROM workers", seen)[0][0])
    trio.finish(trio.post(50))
    assert [len(trio.servers[name].mails) for name in NAMES] == [0, 50, 0]

    assert trio.notify("providers", "enable", "north") == "north: enabled, weight 1\n"
    assert trio.notify("providers", "weigh", "north", "900") == "north: enabled, weight 900\n"
    acts = [json.loads(line) for line in trio.notify("audit", "--json").splitlines()]
    assert [(act["act"], act["target"]) for act in acts if act["act"].startswith("provider")] == [
        ("provider.changed", name) for name in ("north", "west", "north", "north")
    ]


def test_an_unknown_provider_is_reported_with_the_known_ones(trio: Trio) -> None:
    with pytest.raises(subprocess.CalledProcessError) as raised:
        trio.notify("providers", "disable", "nobody")
    assert raised.value.returncode == 1
    assert "there is no provider 'nobody'; there are: north, south, west" in raised.value.stderr
