"""Test keys have no effect on live mail: neither on the suppression list nor on the limits of live keys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cli.servers.valkey import Valkey
from db import backlogs
from db.database import connection
from tests.contract import CheckedClient
from tests.eventually import eventually
from tests.integration.api import Api, running
from tests.integration.test_api_suppressions import SECRET, link
from tests.integration.test_api_test_keys import Pair
from tests.keys import EVERY, client, key

MOST = 3


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url, auth="required", backlog_interval=0.1, **SECRET) as api:
        yield api


@pytest.fixture
def pair(api: Api, request: pytest.FixtureRequest) -> Pair:
    owner = client(api.sql, request.node.name)
    api.sql.rows("UPDATE clients SET pending_limit = %s WHERE id = %s RETURNING id", MOST, owner)
    both = Pair(api.client, api.client)
    for asking, sandbox in zip(both, (False, True), strict=True):
        asking.key = str(key(api.sql, EVERY, of=owner, sandbox=sandbox))
    return both


def pressed(asking: CheckedClient, recipient: str) -> int:
    """The status of the answer to one click on the link of a mail."""
    id = asking.notify(recipient).json["id"]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    return asking.request("POST", link(id), b"List-Unsubscribe=One-Click", form).status


def test_the_unsubscribe_link_of_a_test_mail_adds_no_live_suppression(pair: Pair) -> None:
    assert pressed(pair.test, "ann@example.com") == 200
    assert pair.live.get("/api/suppressions").json["items"] == []
    assert pair.live.notify("ann@example.com").json["status"] == "pending"

    assert pressed(pair.live, "ann@example.com") == 200
    assert pair.live.notify("ann@example.com").json["failureReason"] == "suppressed"


def test_the_unsubscribe_link_of_a_test_mail_does_not_extend_a_live_suppression(pair: Pair) -> None:
    id = pair.test.notify("bob@example.com").json["id"]
    entry = {"address": "bob@example.com", "expiresAt": "2124-01-01T00:00:00Z"}
    assert pair.live.post("/api/suppressions", entry).status == 201
    assert pair.test.request("POST", link(id)).status == 200
    assert pair.live.get("/api/suppressions/bob@example.com").json["reason"] == "manual"


def counted() -> bool:
    with connection():
        backlogs.count(1_000_000, 0.1, 10)
    return True


@pytest.mark.usefixtures("bound")
@pytest.mark.parametrize("flooding", ["test", "live"])
def test_pending_test_mails_do_not_count_against_the_live_limit(pair: Pair, flooding: str) -> None:
    first, second = (pair.test, pair.live) if flooding == "test" else (pair.live, pair.test)
    answers = [first.notify("a@example.com").status for _ in range(MOST + 1)]
    assert answers == [201] * MOST + [429]
    eventually(lambda: counted() and first.notify("a@example.com").status == 429)
    answers = [second.notify("a@example.com").status for _ in range(MOST + 1)]
    assert answers == [201] * MOST + [429]
