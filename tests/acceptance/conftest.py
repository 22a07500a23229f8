"""The whole system, started once for each module."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from tests.acceptance.world import World
from tests.smtp import SmtpServer


@pytest.fixture(scope="module")
def mail_server() -> Iterator[SmtpServer]:
    """The mail server of one module's system."""
    with SmtpServer() as server:
        yield server


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
