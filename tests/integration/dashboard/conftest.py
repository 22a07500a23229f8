"""One API whose dashboard the modules share that see only what belongs to their own clients; others start their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cli.servers.valkey import Valkey
from tests.dashboard import Person, logged_in
from tests.embedded import Databases
from tests.integration.api import Api, running
from tests.keys import client


@pytest.fixture(scope="package")
def api(databases: Databases, redis_server: Valkey) -> Iterator[Api]:
    """An API with a database that other modules use too."""
    with databases.new() as url, running(url, redis_server.url, auth="required", login_rate=10_000) as api:
        yield api


@pytest.fixture
def owner(api: Api, request: pytest.FixtureRequest) -> int:
    """The id of a client of the test's own."""
    return client(api.sql, request.node.name)


@pytest.fixture
def person(api: Api, owner: int) -> Person:
    """Somebody who is logged in with a key of the owner."""
    return logged_in(api, of=owner)
