"""The dashboard in a browser: light and dark, at desktop and phone width."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from cli.servers.valkey import Valkey
from tests.browser.conftest import PHONE, Open, faults, overflows
from tests.furnishing import HOSTILE, failed, pending, status
from tests.integration.api import NOWHERE, Api, running
from tests.keys import key

pytestmark = pytest.mark.long

BODY = "<h1>Hello</h1><script>document.body.textContent = 'owned'</script><a href='https://example.com/'>away</a>"


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url, live_interval=0.2) as started:
        started.sql.rows(
            "INSERT INTO workers (id, host, pid, threads, tallies) VALUES"
            " (gen_random_uuid(), 'a-worker', 7, 8, '{\"sent\": 5}') RETURNING 1"
        )
        started.sql.rows(
            "INSERT INTO providers (name, opened_at, reason, probe_after, wait)"
            " VALUES (%s, now(), '421 busy', now(), 5) RETURNING 1",
            NOWHERE.removeprefix("smtp://"),
        )
        yield started


@pytest.fixture(scope="module")
def ids(api: Api) -> dict[str, int]:
    return {"failed": failed(api.sql, HOSTILE, html=BODY), "pending": pending(api.sql)}


def url(api: Api, path: str) -> str:
    return f"http://127.0.0.1:{api.port}{path}"


def test_a_person_logs_in_by_keyboard_and_out(module_database_url: str, redis_server: Valkey, opened: Open) -> None:
    with running(module_database_url, redis_server.url, auth="required", login_rate=10_000) as api:
        page = opened(url(api, "/switch"))
        assert page.title() == "Log in · Notifications"
        assert not faults(page)

        page.get_by_label("API key").fill(str(key(api.sql)))
        page.keyboard.press("Enter")

        page.wait_for_url("**/switch")
        assert page.get_by_role("status").inner_text() == "You are logged in."
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url("**/login")


# One browser for all pages of a scheme: to start one takes longer than to look at a page.
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_accessible_and_fit_a_phone(api: Api, ids: dict[str, int], opened: Open, scheme: str) -> None:
    story = f"/notifications/{ids['failed']}"
    page = opened(url(api, "/"), blocked=("sandboxed", "status of 40"), color_scheme=scheme, **PHONE)
    expect(page.locator("#live")).to_have_text("live")
    paths = (
        "/",
        "/switch",
        "/notifications",
        story,
        f"{story}?view=text",
        f"{story}?width=desktop",
        f"{story}?width=phone",
        "/notifications?q=refused",
        "/failures?sandbox=false",
        f"{story}/retry",
        "/failures",
        "/failures/none",
    )
    for path in (*paths, f"/notifications/{ids['pending']}/cancel", "/notifications?status=x"):
        if path != "/":
            page.goto(url(api, path))
        assert not faults(page), path
        assert not overflows(page), path


def test_the_overview_updates_itself(api: Api, opened: Open) -> None:
    page = opened(url(api, "/"))
    expect(page.locator("#live")).to_have_text("live")
    expect(page.locator("canvas")).to_have_count(2)
    expect(page.get_by_role("region", name="Providers")).to_contain_text("421 busy")

    api.sql.rows("UPDATE workers SET tallies = '{\"sent\": 4711}', seen_at = now() RETURNING 1")

    expect(page.get_by_role("region", name="Workers")).to_contain_text("4\u202f711")
    pauses = page.locator(".pauses")
    expect(pauses).to_have_count(0)
    api.sql.rows("INSERT INTO pauses (kind, name) VALUES ('channel', 'email') RETURNING 1")
    expect(pauses).to_contain_text("Channel email")
    expect(page.locator("#banner")).to_contain_text("The channel email is paused")
    api.sql.rows("DELETE FROM pauses RETURNING 1")
    expect(pauses).to_have_count(0)
    expect(page.locator("#banner")).not_to_contain_text("is paused")


def test_without_scripts_the_pages_work(api: Api, opened: Open) -> None:
    id = failed(api.sql, "450 later")
    page = opened(url(api, "/"), java_script_enabled=False)
    expect(page.get_by_role("region", name="Workers")).to_contain_text("a-worker")
    page.get_by_role("link", name="Notifications", exact=True).click()
    page.get_by_label("Search", exact=True).fill(str(id))
    page.get_by_role("button", name="Search").click()
    page.wait_for_url(f"**/notifications/{id}")
    page.get_by_role("link", name="Retry").click()
    page.get_by_role("button", name="Retry it").click()
    page.wait_for_url(f"**/notifications/{id}")
    expect(page.get_by_role("status")).to_contain_text("is pending again")
    assert status(api.sql, id) == "pending"


def test_a_person_finds_a_notification_cancels_it_and_sends_it_again(api: Api, opened: Open) -> None:
    id = pending(api.sql)
    page = opened(url(api, "/notifications"))
    page.get_by_label("Status").select_option("pending")
    page.keyboard.press("Enter")
    page.locator(f"a[href='/notifications/{id}']").click()
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("button", name="Cancel it").click()
    expect(page.get_by_role("status")).to_contain_text("is cancelled")
    page.get_by_role("link", name="Resend").click()
    page.get_by_role("button", name="Send it again").click()
    expect(page.get_by_role("status")).to_contain_text(f"with the content of notification {id}")
    assert status(api.sql, id) == "cancelled"


def test_failures_of_a_group_are_retried_together(api: Api, opened: Open) -> None:
    ids = [failed(api.sql, "554 5.7.1 spam", code=554) for _ in range(3)]
    page = opened(url(api, "/failures"))
    page.get_by_role("row", name="554").get_by_role("link", name="Retry").click()
    expect(page.get_by_role("definition").first).to_have_text("3")
    page.get_by_role("button", name="Retry 3").click()
    expect(page.get_by_role("status")).to_contain_text("pending again: 3.")
    assert {status(api.sql, id) for id in ids} == {"pending"}


def test_a_shown_mail_runs_no_script_loads_nothing_and_follows_no_link(
    api: Api, ids: dict[str, int], opened: Open
) -> None:
    page = opened(url(api, f"/notifications/{ids['failed']}"), blocked=("sandboxed", "frame-src"))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    frame = page.frame_locator("iframe")
    expect(frame.locator("h1")).to_have_text("Hello")
    frame.locator("a").click()
    expect(page.get_by_role("heading", name="Timeline")).to_be_visible()
    assert not [one for one in asked if "example.com" in one]
    assert hostile_shown(page)


def hostile_shown(page: Page) -> bool:
    """Return True if the text of others is shown as it was written, without being run."""
    return "<script>alert(1)</script>" in page.locator("h1").first.inner_text()
