"""Providers over the API: the list, and changes by operators."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from cli.servers.valkey import Valkey
from tests.contract import CheckedClient, faults
from tests.integration.api import Api, running
from tests.keys import EVERY, key

PROVIDERS = "/api/providers"
REPORTED = {"priority": 1, "weight": 2, "connections": 20, "rate": None}


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url, auth="required") as api:
        api.sql.rows("INSERT INTO providers (name) VALUES ('of-an-old-worker') RETURNING 1")
        for name in ("backup", "main"):
            api.sql.rows("INSERT INTO providers (name, config) VALUES (%s, %s) RETURNING 1", name, json.dumps(REPORTED))
        yield api


@pytest.fixture
def admin(api: Api) -> CheckedClient:
    client = api.client
    client.key = str(key(api.sql, EVERY))
    return client


def test_providers_reported_by_workers_are_listed_by_name(admin: CheckedClient) -> None:
    items = admin.get(PROVIDERS).json["items"]

    assert [item["name"] for item in items] == ["backup", "main"]
    assert items[1] == {
        "name": "main",
        "channel": None,
        "enabled": True,
        **REPORTED,
        "downSince": None,
        "reason": None,
        "refusedDomains": [],
        "daily": None,
        "dailyUsed": None,
        "dailyFreeAt": None,
        "silentSince": None,
        "workers": 0,
        "attempts": {},
        "success": None,
    }


def test_a_domain_that_a_provider_refuses_is_shown_with_its_reply(api: Api, admin: CheckedClient) -> None:
    api.sql.rows(
        "INSERT INTO refused_domains (provider, domain, opened_at, reason, probe_after, wait)"
        " VALUES ('main', 'shop.example', now(), '550 5.7.26 DMARC', now(), 5) RETURNING 1"
    )
    try:
        backup, main = admin.get(PROVIDERS).json["items"]
    finally:
        api.sql.rows("DELETE FROM refused_domains RETURNING 1")
    assert backup["refusedDomains"] == []
    [refused] = main["refusedDomains"]
    assert (refused["domain"], refused["reason"]) == ("shop.example", "550 5.7.26 DMARC")


def test_a_provider_without_reports_says_since_when(api: Api, admin: CheckedClient) -> None:
    api.sql.rows("UPDATE providers SET silent_since = now(), usual_share = 0.97 WHERE name = 'main' RETURNING 1")
    try:
        backup, main = admin.get(PROVIDERS).json["items"]
    finally:
        api.sql.rows("UPDATE providers SET silent_since = NULL, usual_share = NULL RETURNING 1")

    assert backup["silentSince"] is None
    assert datetime.fromisoformat(main["silentSince"]) <= datetime.now(UTC)


def test_how_much_of_the_daily_limit_is_used_and_when_it_is_free_again(api: Api, admin: CheckedClient) -> None:
    this = int(time.time()) // 900
    counts = {str(this - 97): 1_000, str(this - 90): 300, str(this): 200}
    api.sql.rows(
        "UPDATE providers SET config = config || '{\"daily\": 500}', daily_used = %s,"
        " exhausted_until = now() + interval '1 hour' WHERE name = 'main' RETURNING 1",
        json.dumps(counts),
    )
    try:
        main = admin.get(PROVIDERS).json["items"][1]
        api.sql.rows("UPDATE providers SET exhausted_until = now() WHERE name = 'main' RETURNING 1")
        later = admin.get(PROVIDERS).json["items"][1]
    finally:
        api.sql.rows(
            "UPDATE providers SET config = config - 'daily', daily_used = '{}', exhausted_until = NULL RETURNING 1"
        )

    assert (main["daily"], main["dailyUsed"]) == (500, 500)
    assert datetime.fromisoformat(main["dailyFreeAt"]) > datetime.now(UTC)
    assert later["dailyFreeAt"] is None


def test_live_workers_are_counted_with_what_they_sent(api: Api, admin: CheckedClient) -> None:
    api.sql.rows(
        "INSERT INTO workers (id, host, pid, threads, provider, tallies)"
        " VALUES (gen_random_uuid(), 'h', 1, 8, 'main, backup', %s) RETURNING 1",
        '{"sent": 4, "main sent": 3, "main deferred": 1, "backup sent": 1}',
    )
    try:
        backup, main = admin.get(PROVIDERS).json["items"]
    finally:
        api.sql.rows("DELETE FROM workers RETURNING 1")

    assert (main["workers"], main["attempts"], main["success"]) == (1, {"sent": 3, "deferred": 1}, 0.75)
    assert (backup["workers"], backup["attempts"], backup["success"]) == (1, {"sent": 1}, 1.0)


def test_switching_and_weighing_a_provider_is_recorded_in_the_audit_log(api: Api, admin: CheckedClient) -> None:
    assert admin.send("PATCH", f"{PROVIDERS}/backup", {"enabled": False, "weight": 9}).json["enabled"] is False
    changed = admin.send("PATCH", f"{PROVIDERS}/backup", {"enabled": True}).json
    assert (changed["enabled"], changed["weight"]) == (True, 9)
    assert admin.send("PATCH", f"{PROVIDERS}/backup", {"weight": None}).json["weight"] == 2

    acts = [one for one in admin.get("/api/audit", act="provider.changed").json["items"] if one["target"] == "backup"]
    assert [act["detail"] for act in acts] == [
        {"enabled": True, "weight": None},
        {"enabled": True, "weight": 9},
        {"enabled": False, "weight": 9},
    ]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({}, ""),
        ({"weight": 0}, "/weight"),
        ({"weight": "3"}, "/weight"),
        ({"enabled": 1}, "/enabled"),
        ({"rate": 3}, "/rate"),
    ],
)
def test_an_invalid_change_of_a_provider_is_refused(
    admin: CheckedClient, changes: dict[str, object], pointer: str
) -> None:
    answer = admin.send("PATCH", f"{PROVIDERS}/main", changes)

    assert answer.status == 422
    assert list(faults(answer)) == [pointer]


def test_an_unknown_provider_is_a_404(admin: CheckedClient) -> None:
    assert admin.send("PATCH", f"{PROVIDERS}/of-an-old-worker", {"enabled": False}).status == 404


@pytest.mark.parametrize("scopes", [("send", "read"), ("read", "manage")])
def test_only_admins_see_and_change_providers(api: Api, scopes: tuple[str, ...]) -> None:
    client = api.client
    client.key = str(key(api.sql, scopes))

    assert client.get(PROVIDERS).status == 403
    assert client.send("PATCH", f"{PROVIDERS}/main", {"enabled": False}).status == 403
