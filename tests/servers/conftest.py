"""The distribution's servers, started once for all tests in this folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from tests import embedded
from tests.environment import configured
from tests.servers.stock_dovecot import StockDovecot
from tests.servers.stock_postfix import StockPostfix
from tests.servers.stock_postgres import StockPostgres
from tests.servers.stock_redis import StockRedis


class Stock(Protocol):
    """Server of the distribution."""

    def start(self) -> None:
        """Run it, and return when it answers."""

    def kill(self) -> None:
        """End it at once."""


S = TypeVar("S", bound=Stock)


@contextmanager
def started(make: Callable[[Path], S]) -> Iterator[S]:
    """Run a server in a directory of its own."""
    with embedded.short_directory() as directory:
        server = make(directory)
        try:
            server.start()
            yield server
        finally:
            server.kill()


@pytest.fixture(scope="session")
def stock_postgres() -> Iterator[StockPostgres]:
    """PostgreSQL with its default settings. Do not stop it: start one of your own for that."""
    with started(StockPostgres) as server:
        yield server


@pytest.fixture(scope="session")
def stock_redis() -> Iterator[StockRedis]:
    """Redis with its default settings. Do not stop it: start one of your own for that."""
    with started(StockRedis) as server:
        yield server


@pytest.fixture(scope="session")
def stock_postfix() -> Iterator[StockPostfix]:
    """Postfix with its default settings, whose mail for example.com one can read."""
    if os.geteuid() != 0:
        pytest.skip("only root can run Postfix")
    with started(StockPostfix) as server:
        yield server


@pytest.fixture(scope="session")
def stock_dovecot() -> Iterator[StockDovecot]:
    """Dovecot with its default settings, where each test has a mailbox of its own."""
    with started(StockDovecot) as server:
        yield server


@pytest.fixture(scope="session")
def stock_template(stock_postgres: StockPostgres) -> Iterator[str]:
    """Name of a migrated, empty database on the stock PostgreSQL, to be copied."""
    from db import database  # noqa: PLC0415 - after REDIS_URL has been set
    from db.migrations import migrate  # noqa: PLC0415

    with stock_postgres.empty() as url:
        with configured(database_url=url) as settings:
            database.bind(settings.database)
            migrate()
            database.database.close()
        yield url.rpartition("/")[2]


@pytest.fixture
def stock_database_url(stock_postgres: StockPostgres, stock_template: str) -> Iterator[str]:
    """DATABASE_URL of a migrated, empty database on the stock PostgreSQL."""
    with stock_postgres.copy(stock_template) as url:
        yield url


@pytest.fixture
def stock_redis_url(stock_redis: StockRedis) -> str:
    """REDIS_URL of the stock Redis, emptied."""
    with stock_redis.client as client:
        client.flushall()
    return stock_redis.url
