"""Only a key with the scope admin may ask to be told of providers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cli.servers.valkey import Valkey
from tests.contract import CheckedClient
from tests.integration.api import Api, running
from tests.integration.test_api_callbacks import CALLBACKS, URL, send
from tests.keys import key

ASKED = {"events": ["failed", "provider.silent", "provider.heard"]}


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url, auth="required") as api:
        yield api


def with_key(api: Api, *scopes: str) -> CheckedClient:
    client = api.client
    client.key = str(key(api.sql, list(scopes)))
    return client


def test_an_admin_registers_an_endpoint_for_the_events_of_providers(api: Api) -> None:
    made = with_key(api, "manage", "admin").post(CALLBACKS, {"url": URL, **ASKED})
    assert (made.status, made.json["events"]) == (201, ASKED["events"])


def test_only_an_admin_registers_or_changes_such_an_endpoint(api: Api) -> None:
    client = with_key(api, "send", "read", "manage")
    own = client.post(CALLBACKS, {"url": URL}).headers["location"]
    for refused in (client.post(CALLBACKS, {"url": URL, **ASKED}), send(client, "PATCH", own, ASKED)):
        assert (refused.status, refused.headers["www-authenticate"][-13:]) == (403, 'scope="admin"')
    assert client.get(own).json["events"] == ["sent", "failed", "cancelled"]


def test_an_unknown_event_is_named(api: Api) -> None:
    refused = with_key(api, "manage", "admin").post(CALLBACKS, {"url": URL, "events": ["provider.loud"]})
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/events/0")
