"""Keys, clients, the suppression list, templates and the inbox in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cli.servers.valkey import Valkey
from cli.up.mailbox import Slot
from tests.browser.conftest import PHONE, Open, faults, overflows
from tests.client import Client
from tests.integration.api import Api, running
from tests.keys import key

pytestmark = pytest.mark.long

HTML = "<h1 style='color: rgb(1, 2, 3)'>Hi {{ name }}</h1>"
PAGES: tuple[str, ...] = (
    "/keys",
    "/clients",
    "/clients/1",
    "/suppressions",
    "/destinations",
    "/destinations/alerts/delete",
    "/domains",
    "/domains/example.com",
    "/templates",
    "/templates/hi",
    "/inbox",
    "/inbox/1",
)
PAGES += ("/inbox/1?width=phone",)


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    caught = tmp_path_factory.mktemp("mail")
    mail = b"Subject: Caught\r\nContent-Type: text/html\r\n\r\n<p style='color: rgb(1, 2, 3)'>Hello</p>\r\n"
    Slot(caught, 10).put("a@example.com", ["b@example.com"], mail)
    more: dict[str, Any] = {"caught_mail": caught, "login_rate": 1_000, "domain_keys_secret": "s" * 32}
    with running(module_database_url, redis_server.url, auth="required", **more) as api:
        client = Client(api.port)
        client.key = str(key(api.sql))
        template = {"subject": "Hi {{ name }}", "text": "Hello {{ name }}", "html": HTML}
        assert client.send("PUT", "/api/templates/hi", template).status == 201
        assert client.post("/api/suppressions", {"address": "gone@example.com"}).status == 201
        place = {"name": "alerts", "kind": "slack", "url": "https://hooks.slack.com/services/T0/B0/EXAMPLE"}
        assert client.post("/api/destinations", place).status == 201
        assert client.post("/api/domains", {"domain": "example.com"}).status == 201
        yield api


def logged_in(api: Api, opened: Open, **options: Any) -> Any:
    page = opened(f"http://127.0.0.1:{api.port}/login", **options)
    page.get_by_label("API key").fill(str(key(api.sql)))
    page.keyboard.press("Enter")
    page.wait_for_url("**/")
    return page


def at(api: Api, path: str) -> str:
    return f"http://127.0.0.1:{api.port}{path}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_admin_pages_are_accessible_and_fit_a_phone(api: Api, opened: Open, scheme: str) -> None:
    page = logged_in(api, opened, color_scheme=scheme, **PHONE)
    for path in PAGES:
        page.goto(at(api, path))
        assert (path, faults(page), overflows(page)) == (path, [], False)


def test_a_key_is_made_and_revoked(api: Api, opened: Open) -> None:
    page = logged_in(api, opened)
    page.goto(at(api, "/keys"))
    page.get_by_label("Name").fill("from a browser")
    page.get_by_label("send", exact=True).check()
    page.get_by_role("button", name="Create the key").click()
    assert page.get_by_label("The key").inner_text().startswith("ntf_live_")
    page.get_by_role("link", name="Back to the keys").click()
    page.get_by_role("row", name="from a browser").get_by_role("link", name="Revoke").click()
    page.get_by_role("button", name="Revoke").click()
    assert "is revoked." in page.get_by_role("status").inner_text()
    assert "revoked" in page.get_by_role("row", name="from a browser").inner_text()


def test_an_address_is_added_and_removed(api: Api, opened: Open) -> None:
    page = logged_in(api, opened)
    page.goto(at(api, "/suppressions"))
    page.get_by_role("textbox", name="Address").fill("someone@example.com")
    page.get_by_role("button", name="Add").click()
    page.get_by_role("button", name="Remove someone@example.com").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    assert "removed" in page.get_by_role("status").inner_text()


def test_a_preview_shows_its_html_in_a_frame_of_its_own(api: Api, opened: Open) -> None:
    page = logged_in(api, opened, java_script_enabled=True)
    page.goto(at(api, "/templates/hi"))
    page.get_by_label("Variables").fill('{"name": "Ann"}')
    page.get_by_role("button", name="Preview").click()
    shown = page.frame_locator("iframe").get_by_role("heading", name="Hi Ann")
    shown.wait_for()
    assert shown.evaluate("heading => getComputedStyle(heading).color") == "rgb(1, 2, 3)"


def test_a_preview_works_without_scripts(api: Api, opened: Open) -> None:
    page = logged_in(api, opened, java_script_enabled=False)
    page.goto(at(api, "/templates/hi"))
    page.get_by_label("Variables").fill('{"name": "Ann"}')
    page.get_by_role("button", name="Preview").click()
    page.get_by_role("button", name="Show the HTML").click()
    page.frame_locator("iframe").get_by_text("Hi Ann").wait_for()


def test_a_caught_mail_can_be_read(api: Api, opened: Open) -> None:
    page = logged_in(api, opened)
    page.get_by_role("link", name="Inbox").click()
    page.get_by_role("link", name="Caught").click()
    page.frame_locator("iframe").get_by_text("Hello").wait_for()
