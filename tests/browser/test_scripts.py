"""What the scripts of the pages add: keys, local times, refreshed parts, and copied commands."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from cli.servers.valkey import Valkey
from tests.browser.conftest import Open
from tests.furnishing import pending
from tests.integration.api import Api, running

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url) as started:
        yield started


def url(api: Api, path: str) -> str:
    return f"http://127.0.0.1:{api.port}{path}"


def test_a_person_moves_in_the_list_by_keys(api: Api, opened: Open) -> None:
    first, second = sorted((pending(api.sql) for _ in range(2)), reverse=True)
    page = opened(url(api, "/failures"))
    page.keyboard.press("/")
    page.wait_for_url("**/notifications")
    page.keyboard.press("j")
    expect(page.locator(f"a[href='/notifications/{first}']")).to_be_focused()
    page.keyboard.press("j")
    expect(page.locator(f"a[href='/notifications/{second}']")).to_be_focused()
    page.keyboard.press("k")
    page.keyboard.press("k")
    expect(page.locator(f"a[href='/notifications/{first}']")).to_be_focused()
    page.keyboard.press("/")
    box = page.get_by_role("searchbox", name="Search")
    expect(box).to_be_focused()
    page.keyboard.type("jk/@later.example")
    expect(box).to_have_value("jk/@later.example")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=jk%2F%40later.example**")


def test_times_have_the_local_time_in_their_tooltip(api: Api, opened: Open) -> None:
    id = pending(api.sql)
    api.sql.rows("UPDATE notifications SET created_at = '2024-07-01 12:00Z' WHERE id = %s RETURNING 1", id)
    page = opened(url(api, f"/notifications/{id}"), locale="en-GB", timezone_id="Asia/Tokyo")
    time = page.locator("time[datetime='2024-07-01T12:00:00Z']").first
    expect(time).to_have_attribute("title", re.compile(r"local: 1 Jul 2024, 21:00:00"))


def test_the_list_and_a_pending_notification_refresh_themselves(api: Api, opened: Open) -> None:
    id = pending(api.sql)
    story, listed = opened(url(api, f"/notifications/{id}")), opened(url(api, "/notifications"))
    expect(story.locator("#state")).to_contain_text("It is scheduled")
    api.sql.rows(
        "UPDATE notifications SET status = 'sent', finished_at = now(), next_attempt_at = NULL, dispatch_after = NULL"
        " WHERE id = %s RETURNING 1",
        id,
    )
    expect(story.locator("#state .badge").first).to_have_text("sent")
    expect(story.locator("[data-live]")).to_have_count(0)
    expect(listed.locator("tr", has=listed.locator(f"a[href='/notifications/{id}']"))).to_contain_text("sent")
    new = pending(api.sql)
    expect(listed.locator(f"a[href='/notifications/{new}']")).to_be_visible(timeout=60_000)


def test_the_curl_command_is_copied(api: Api, opened: Open) -> None:
    page = opened(url(api, f"/notifications/{pending(api.sql)}"), permissions=["clipboard-read", "clipboard-write"])
    page.get_by_text("As curl").click()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#curl").inner_text()
