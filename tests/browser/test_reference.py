"""The API reference in the browser: it shows every operation, contacts no other server, and sends requests with a typed
key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from cli.servers.valkey import Valkey
from tests.browser.conftest import Open
from tests.integration.api import Api, running
from tests.keys import key

pytestmark = pytest.mark.long

PREFIX = "/notify"
METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module", params=["", PREFIX], ids=["at the root", "below a path"])
def api(request: pytest.FixtureRequest, module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    public: dict[str, Any] = {"public_url": f"https://example.com{request.param}", "unsubscribe_secret": "s" * 32}
    with running(module_database_url, redis_server.url, auth="required", **public if request.param else {}) as started:
        yield started


@pytest.fixture
def prefix(api: Api) -> str:
    return PREFIX if "PUBLIC_URL" in api.environ else ""


@pytest.fixture
def page(api: Api, prefix: str, opened: Open) -> Page:
    """The page without a session. The console must stay silent, which a broken policy would not leave it."""
    page = opened("about:blank")
    page.goto(f"http://127.0.0.1:{api.port}{prefix}/docs")
    return page


def test_the_page_shows_every_operation_and_asks_no_other_server(api: Api, prefix: str, opened: Open) -> None:
    asked: list[str] = []
    page = opened("about:blank")
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"http://127.0.0.1:{api.port}{prefix}/docs")

    document = api.client.get("/openapi.json").json
    operations = [method for item in document["paths"].values() for method in item if method in METHODS]
    expect(page.locator(".opblock:not([id*=webhooks])")).to_have_count(len(operations))
    opened_operation(page)
    expect(page.get_by_text("Stores the notification, answers, and sends it")).to_be_visible()
    assert {urlsplit(url).netloc for url in asked if not url.startswith("data:")} == {f"127.0.0.1:{api.port}"}
    assert {urlsplit(url).path.rpartition("/")[0] for url in asked if urlsplit(url).netloc} == {
        prefix,
        f"{prefix}/static",
    }


def test_a_request_is_sent_with_the_key_that_was_typed_and_the_key_is_kept_nowhere(api: Api, page: Page) -> None:
    page.get_by_role("button", name="Authorize", exact=True).click()
    dialog = page.locator(".dialog-ux")
    dialog.locator("input").fill(str(key(api.sql, ["send"])))
    dialog.locator("button.authorize").click()
    dialog.get_by_role("button", name="Close").click()
    operation = opened_operation(page)
    operation.get_by_role("button", name="Try it out").click()
    with page.expect_response("**/api/notifications") as answered:
        operation.get_by_role("button", name="Execute").click()

    assert answered.value.status == 201
    stored = json.loads(
        page.evaluate("() => JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    )
    assert stored == [{}, {}, ""]


def opened_operation(page: Page) -> Locator:
    """Unfold the operation that sends a notification."""
    operation = page.locator("#operations-notifications-createNotification")
    operation.locator(".opblock-summary-control").click()
    return operation
