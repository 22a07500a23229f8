"""Clients that may use only some providers, in a running system: set over the API, obeyed by workers that run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.eventually import eventually
from tests.keys import client, key
from tests.smtp import SmtpServer
from tests.system import System

pytestmark = pytest.mark.long

NAMES = ("first", "second")


@pytest.fixture
def servers() -> Iterator[dict[str, SmtpServer]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(SmtpServer()) for name in NAMES}


@pytest.fixture
def system(tmp_path: Path, database_url: str, redis_url: str, servers: dict[str, SmtpServer]) -> Iterator[System]:
    urls = {f"provider_{name}": f"{server.url}?priority={n}" for n, (name, server) in enumerate(servers.items(), 1)}
    system = System(
        tmp_path, database_url=database_url, redis_url=redis_url, smtp_url="", auth="required", key_cache=0, **urls
    )
    try:
        system.start_api()
        yield system
    finally:
        system.stop()


def test_provider_lists_apply_from_the_start_of_a_worker_and_changes_reach_running_ones(
    system: System, servers: dict[str, SmtpServer]
) -> None:
    shop = client(system.sql, "shop")
    admin, sender, other = system.client, system.client, system.client
    admin.key, other.key = str(key(system.sql, ["admin"])), str(key(system.sql, ["send", "read"]))
    sender.key = str(key(system.sql, ["send", "read"], of=shop))

    def limit(providers: Any) -> None:
        body = json.dumps({"providers": providers}).encode()
        answer = admin.request("PATCH", f"/api/clients/{shop}", body, {"Content-Type": "application/json"})
        assert answer.status == 200, answer.raw

    limit({"email": ["second"]})  # Known from the settings of the API, before a worker has reported it.
    early = [sender.notify(f"early{n}@example.com").json["id"] for n in range(20)]
    system.start_workers(2)
    eventually(lambda: system.sql.statuses(early) == {"sent": 20}, within=30, saying=system.logs)
    assert (len(servers["first"].mails), len(servers["second"].mails)) == (0, 20)

    late = [other.notify(f"late{n}@example.com").json["id"] for n in range(5)]
    eventually(lambda: system.sql.statuses(late) == {"sent": 5}, within=30, saying=system.logs)
    assert (len(servers["first"].mails), len(servers["second"].mails)) == (5, 20)

    limit({"email": ["first"]})

    def goes_through_the_first() -> bool:
        before, id = len(servers["first"].mails), sender.notify("now@example.com").json["id"]
        eventually(lambda: system.sql.statuses([id]) == {"sent": 1}, within=30, saying=system.logs)
        return len(servers["first"].mails) > before

    eventually(goes_through_the_first, within=20, saying=system.logs)
