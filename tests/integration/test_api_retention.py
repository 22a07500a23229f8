"""Removed notifications at the API: they are answered with 404, and lists go on without them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cli.servers.valkey import Valkey
from db import retention
from settings import Settings
from tests.client import NOTIFICATIONS
from tests.contract import CheckedClient
from tests.integration.api import running
from tests.integration.ends import ALIKE, BOUNDS, DAY, ended, full_block


@pytest.fixture
def client(own_store: Settings, redis_server: Valkey) -> Iterator[CheckedClient]:
    with running(own_store.database.url, redis_server.url) as api, api.client as client:
        yield client


def test_removed_notifications_are_404_with_their_attempts_and_events_and_lists_continue(client: CheckedClient) -> None:
    _, gone = full_block()
    [deleted, *young] = ended() + ended(ago=DAY / 2, count=6)
    page = client.get(NOTIFICATIONS, limit=3).json
    done = [step.what for step in (*retention.look_after_blocks(ALIKE, BOUNDS), *retention.sweep(ALIKE, BOUNDS))]
    assert done == ["dropped", "deleted"]

    for id in (gone[0], deleted):
        for path in ("", "/attempts", "/events"):
            assert client.get(f"{NOTIFICATIONS}/{id}{path}").status == 404
    assert client.post(f"{NOTIFICATIONS}/{gone[0]}/retry", {}).status == 404
    found = [item["id"] for item in page["items"]]
    while page["nextCursor"]:
        page = client.get(NOTIFICATIONS, limit=3, cursor=page["nextCursor"]).json
        found += [item["id"] for item in page["items"]]
    assert found == sorted(young, reverse=True)
