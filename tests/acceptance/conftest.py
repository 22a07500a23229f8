"""The whole system, started once for each module."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis

from cli.servers.valkey import Valkey
from tests.acceptance.world import World
from tests.smtp import SmtpServer
from tests.system import System

NewWorld = Callable[..., World]


@pytest.fixture(scope="module")
def mail_server() -> Iterator[SmtpServer]:
    """The mail server of one module's system."""
    with SmtpServer() as server:
        yield server


@pytest.fixture(scope="module")
def new_world(
    module_database_url: str,
    redis_server: Valkey,
    mail_server: SmtpServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[NewWorld]:
    """Makes a world on an empty Redis, with settings as of System. Nothing runs yet; in the end all is stopped."""
    urls = {"database_url": module_database_url, "redis_url": redis_server.url, "smtp_url": mail_server.url}
    with ExitStack() as undo:

        def make(**settings: Any) -> World:
            with redis.Redis.from_url(redis_server.url) as client:
                client.flushall()
            system = System(tmp_path_factory.mktemp("system"), **urls, **settings)
            undo.callback(system.stop)
            return World(system, mail_server)

        yield make


@pytest.fixture(autouse=True)
def a_mail_server_as_new(mail_server: SmtpServer) -> None:
    """Each test begins with a healthy mail server that remembers nothing."""
    mail_server.delay = 0.0
    mail_server.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the processes' logs with a failure."""
    report = yield
    world = getattr(item, "funcargs", {}).get("world")
    if report.failed and isinstance(world, World):
        report.sections.append(("logs of the system", world.system.logs()))
    return report
