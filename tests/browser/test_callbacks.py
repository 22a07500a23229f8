"""Callback endpoints and their deliveries in a browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cli.servers.valkey import Valkey
from tests.browser.conftest import PHONE, Open, faults, overflows
from tests.furnishing import HOSTILE, delivery, endpoint
from tests.integration.api import Api, running

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url) as api:
        yield api


@pytest.fixture(scope="module")
def place(api: Api) -> str:
    """The page of an endpoint with a failed delivery."""
    id = endpoint(api.sql, "Orders of a shop")
    delivery(api.sql, id, "503 in maintenance")
    delivery(api.sql, id, HOSTILE)
    return f"/callbacks/{id}"


def at(api: Api, path: str) -> str:
    return f"http://127.0.0.1:{api.port}{path}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_callback_pages_are_accessible_and_fit_a_phone(api: Api, place: str, opened: Open, scheme: str) -> None:
    page = opened(at(api, "/callbacks"), color_scheme=scheme, **PHONE)
    paths = (
        "/callbacks",
        place,
        f"{place}?status=sent",
        f"{place}/deliveries/1",
        f"{place}/retry",
        f"{place}/disabled",
    )
    for path in paths:
        page.goto(at(api, path))
        assert (path, faults(page), overflows(page)) == (path, [], False)


def test_an_endpoint_is_tested_and_its_failures_are_retried(api: Api, place: str, opened: Open) -> None:
    page = opened(at(api, "/callbacks"), java_script_enabled=False)
    page.get_by_role("link", name="https://example.com/hook").first.click()
    page.get_by_role("button", name="Send a test").click()
    assert "on its way" in page.get_by_role("status").inner_text()
    assert page.get_by_role("heading", name="callback.test").is_visible()

    page.goto(at(api, place))
    page.get_by_role("link", name="Retry all failed").click()
    page.get_by_role("button", name="Retry them").click()
    assert "pending again: 2." in page.get_by_role("status").inner_text()
