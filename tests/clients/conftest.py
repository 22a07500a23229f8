"""The whole system with keys, and both clients of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from notification_client import Client
from tests import keys
from tests.acceptance.conftest import NewWorld, mail_server, new_world
from tests.acceptance.world import World
from tests.clients import django_shop  # before any module of tests that has models
from tests.clients.blocking import Blocking
from tests.dns_server import DnsServer

__all__ = ["django_shop", "mail_server", "new_world"]


@pytest.fixture(scope="module")
def dns() -> Iterator[DnsServer]:
    """A DNS server without records."""
    with DnsServer() as server:
        yield server


@pytest.fixture(scope="module")
def world(new_world: NewWorld, dns: DnsServer) -> World:
    """An API that wants keys, and a worker that may call back on this machine."""
    world = new_world(
        **{"auth": "required", "callback_allowed_networks": "127.0.0.0/8", "long_poll_max": 5, "batch_limit": 100},
        **{"domain_keys_secret": "s" * 32, "dns_server": dns.address},
    )
    world.system.start_api()
    world.system.start_workers()
    return world


@pytest.fixture
def base_url(world: World) -> str:
    """Where the API is."""
    return f"http://127.0.0.1:{world.system.port}"


@pytest.fixture
def key(world: World) -> str:
    """A key of a client of its own, with every scope."""
    [(id,)] = world.system.sql.rows("SELECT count(*) + 2 FROM clients")
    return str(keys.key(world.system.sql, of=keys.client(world.system.sql, f"client-{id}")))


@pytest.fixture(params=["Client", "AsyncClient"])
def client(request: pytest.FixtureRequest, base_url: str, key: str) -> Iterator[Any]:
    """Each client in turn, as Client."""
    if request.param == "Client":
        with Client(base_url, key) as client:
            yield client
        return
    with asyncio.Runner() as runner:
        client = Blocking.client(runner, base_url, key)
        yield client
        client.close()
