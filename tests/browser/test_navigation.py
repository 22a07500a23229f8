"""The links of the navigation bar share their lines evenly, at every width of the window."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from cli.servers.valkey import Valkey
from tests.browser.conftest import Open, faults, overflows
from tests.integration.api import Api, running

pytestmark = pytest.mark.long

TOPS = "() => [...document.querySelectorAll('.bar nav a')].map(link => Math.round(link.getBoundingClientRect().top))"


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    inbox: Path = tmp_path_factory.mktemp("mail")
    with running(module_database_url, redis_server.url, caught_mail=str(inbox)) as started:
        yield started


def lines(page: Page) -> list[int]:
    """Return how many links each line has, from top to bottom."""
    return [number for _, number in sorted(Counter(page.evaluate(TOPS)).items())]


@pytest.mark.parametrize(("width", "most"), [(1440, 1), (1280, 1), (1024, 2), (390, 1)])
def test_no_link_stands_alone_on_a_line(api: Api, opened: Open, width: int, most: int) -> None:
    page = opened(f"http://127.0.0.1:{api.port}/inbox", viewport={"width": width, "height": 700})
    found = lines(page)
    assert sum(found) == 16
    assert len(found) <= most
    assert min(found) > 5
    assert not overflows(page)
    assert not faults(page)


def test_the_inbox_names_all_that_it_keeps(api: Api, opened: Open) -> None:
    page = opened(f"http://127.0.0.1:{api.port}/inbox")
    expect(page.locator("main")).to_contain_text("Mails, text messages, push and chat messages")
