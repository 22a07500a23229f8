"""The dashboard as a person has it: in a browser, light and dark, on a desk and in a hand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cli.servers.valkey import Valkey
from tests.browser.conftest import PHONE, Open, faults, overflows
from tests.integration.api import Api, running
from tests.keys import key


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url, auth="required") as started:
        yield started


def url(api: Api, path: str) -> str:
    return f"http://127.0.0.1:{api.port}{path}"


def test_a_person_logs_in_by_keyboard_and_out(api: Api, opened: Open) -> None:
    page = opened(url(api, "/switch"))
    assert page.title() == "Log in · Notifications"
    assert not faults(page)

    page.get_by_label("API key").fill(str(key(api.ledger)))
    page.keyboard.press("Enter")

    page.wait_for_url("**/switch")
    assert page.get_by_role("status").inner_text() == "You are logged in."
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/switch"])
def test_pages_are_accessible_and_fit_a_phone(api: Api, opened: Open, path: str, scheme: str) -> None:
    page = opened(url(api, "/login"), color_scheme=scheme, **PHONE)
    page.get_by_label("API key").fill(str(key(api.ledger)))
    page.keyboard.press("Enter")
    page.wait_for_url(url(api, "/"))

    page.goto(url(api, path))

    assert not faults(page)
    assert not overflows(page)
