"""The limit of a client's suppression list, which does not apply to bounces and unsubscriptions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import pytest

from cli.servers.valkey import Valkey
from db import lifecycle, suppressions
from db.database import rows
from db.suppressions import Entry, TooMany
from tests.contract import CheckedClient
from tests.integration.api import Api, running
from tests.integration.racing import at_once
from tests.integration.rows import GRACE, WORKER, attempt, draft
from tests.integration.test_api_suppressions import SECRET, SUPPRESSIONS, link, remove
from tests.keys import EVERY, key
from tests.keys import client as new_client

LIMIT = 3


def entry(n: int) -> Entry:
    return Entry(f"{n}@example.com")


def counted(client_id: int = 1) -> int:
    return sum(n for (n,) in rows("SELECT counted FROM suppression_counts WHERE client_id = %s", client_id))


def added(n: int, most: int) -> bool:
    """Add an entry and return whether there was room."""
    try:
        suppressions.add(1, entry(n), most)
    except TooMany:
        return False
    return True


@pytest.mark.usefixtures("store")
def test_a_full_list_takes_no_new_entry_but_replaces_an_existing_one() -> None:
    assert [added(n, 2) for n in (1, 2, 3, 1)] == [True, True, False, True]
    assert suppressions.find(1, "3@example.com") is None
    assert counted() == 2


@pytest.mark.usefixtures("store")
def test_a_removed_entry_makes_room_for_another_however_it_was_removed() -> None:
    assert [added(n, 2) for n in (1, 2)] == [True, True]
    assert suppressions.remove(1, "1@example.com")
    assert not suppressions.remove(1, "1@example.com")
    assert [added(n, 2) for n in (3, 4)] == [True, False]
    rows("DELETE FROM suppressions WHERE created_at <= now()")
    assert counted() == 0
    assert [added(n, 2) for n in (5, 6, 7)] == [True, True, False]


@pytest.mark.usefixtures("store")
def test_bounces_and_unsubscriptions_enter_a_full_list_and_are_not_counted() -> None:
    assert [added(n, 1) for n in (1, 2)] == [True, False]
    bounced, left = lifecycle.accept([draft("bounced@example.com"), draft("left@example.com")], GRACE)
    [one] = lifecycle.claim([bounced.id], WORKER)
    assert lifecycle.settle([lifecycle.bounced(one, attempt("refused"))], GRACE, time.monotonic())
    assert suppressions.unsubscribe(left.id)

    assert {row["address"] for row in suppressions.newest(1, {}, None, 9)} == {
        *("1@example.com", "bounced@example.com", "left@example.com")
    }
    assert counted() == 1
    for address in ("bounced@example.com", "left@example.com"):
        suppressions.add(1, Entry(address), 1)
        assert suppressions.remove(1, address)
    assert counted() == 1


@pytest.mark.usefixtures("store")
def test_simultaneous_additions_fill_the_list_exactly_to_its_limit() -> None:
    for most in range(1, 20):
        rows("DELETE FROM suppressions")
        found = at_once(
            [partial(added, n, most) for n in range(most - 1)] + [partial(added, n, most) for n in (50, 51)]
        )
        assert sorted(found) == [False] + [True] * most
        assert counted() == most


@pytest.mark.usefixtures("store")
def test_simultaneous_additions_of_one_address_count_once() -> None:
    for _ in range(20):
        rows("DELETE FROM suppressions")
        assert at_once([partial(added, 1, 1)] * 3) == [True] * 3
        assert counted() == 1


@pytest.mark.usefixtures("store")
def test_simultaneous_additions_and_removals_keep_the_count_correct() -> None:
    for _ in range(20):
        at_once([partial(added, n % 3, 5) for n in range(6)] + [partial(suppressions.remove, 1, "1@example.com")] * 2)
        assert counted() == len(suppressions.newest(1, {}, None, 9))


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url, suppressions_limit=LIMIT, auth="required", **SECRET) as api:
        yield api


def of(api: Api, name: str) -> CheckedClient:
    client = api.client
    client.key = str(key(api.sql, EVERY, of=new_client(api.sql, name)))
    return client


def test_an_entry_beyond_the_limit_is_a_409_with_advice_and_other_clients_are_unaffected(api: Api) -> None:
    full, other = of(api, "full"), of(api, "other")
    addresses = [f"{n}@example.com" for n in range(LIMIT + 1)]
    answers = [full.post(SUPPRESSIONS, {"address": address}) for address in addresses]

    assert [answer.status for answer in answers] == [201] * LIMIT + [409]
    assert answers[-1].json["type"] == "urn:notification-system:problem:too-many-suppressions"
    assert f"{LIMIT} addresses" in answers[-1].json["detail"]
    assert full.post(SUPPRESSIONS, {"address": addresses[0], "source": "again"}).status == 200
    assert other.post(SUPPRESSIONS, {"address": addresses[-1]}).status == 201

    id = full.notify("leaving@example.com").json["id"]
    assert full.request("POST", link(id)).status == 200
    assert len(full.get(SUPPRESSIONS).json["items"]) == LIMIT + 1
    assert remove(full, addresses[0]).status == 204
    assert full.post(SUPPRESSIONS, {"address": addresses[-1]}).status == 201
