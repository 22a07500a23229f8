"""Notifications are selected in the list, and mail providers are switched, in a browser."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from cli.servers.valkey import Valkey
from tests.browser.conftest import PHONE, Open, faults, overflows
from tests.eventually import eventually
from tests.furnishing import failed, pending, status
from tests.integration.api import Api, running

pytestmark = pytest.mark.long

CONFIG = {"priority": 1, "weight": 2, "connections": 20, "rate": None}


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url) as api:
        columns = "name, config, opened_at, probe_after, wait, reason"
        report = f"INSERT INTO providers ({columns}) VALUES (%s, %s, now(), now(), 5, '421 busy') RETURNING 1"
        for name in ("backup", "mail.example.com:587"):
            api.sql.rows(report, name, json.dumps(CONFIG))
        yield api


def at(api: Api, path: str) -> str:
    return f"http://127.0.0.1:{api.port}{path}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_providers_and_a_selection_are_accessible_and_fit_a_phone(api: Api, opened: Open, scheme: str) -> None:
    failed(api.sql)
    page = opened(at(api, "/providers"), color_scheme=scheme, **PHONE)
    for path in ("/providers", "/providers/backup", "/notifications"):
        page.goto(at(api, path))
        assert (path, faults(page), overflows(page)) == (path, [], False)
    page.get_by_label("All on this page").check()
    page.get_by_role("button", name="Retry selected").click()
    assert (faults(page), overflows(page)) == ([], False)


def test_a_person_disables_weighs_and_enables_a_provider(api: Api, opened: Open) -> None:
    page = opened(at(api, "/"), java_script_enabled=False)
    page.get_by_role("link", name="Providers", exact=True).click()
    page.get_by_role("link", name="Disable mail.example.com:587").click()
    page.get_by_role("button", name="Disable").click()
    expect(page.get_by_role("status")).to_contain_text("is disabled")
    page.get_by_label("Weight of backup").fill("7")
    page.get_by_role("button", name="Set the weight of backup").click()
    expect(page.get_by_label("Weight of backup")).to_have_value("7")
    page.get_by_role("button", name="Enable mail.example.com:587").click()
    expect(page.get_by_role("status")).to_contain_text("is enabled")


def test_without_scripts_selected_notifications_are_cancelled(api: Api, opened: Open) -> None:
    first, second, third = (pending(api.sql) for _ in range(3))
    page = opened(at(api, "/notifications?status=pending"), java_script_enabled=False)
    expect(page.get_by_text("All on this page")).to_be_hidden()
    page.get_by_label(f"Select notification {first}").check()
    page.get_by_label(f"Select notification {third}").check()
    page.get_by_role("button", name="Cancel selected").click()
    page.get_by_role("button", name="Cancel 2 notifications").click()
    page.wait_for_url("**/notifications?status=pending")
    expect(page.get_by_role("status").first).to_contain_text("cancelled: 2")
    assert [status(api.sql, id) for id in (first, second, third)] == ["cancelled", "pending", "cancelled"]


def test_a_selection_of_a_whole_page_survives_refreshes(api: Api, opened: Open) -> None:
    mine = [failed(api.sql) for _ in range(3)]
    page = opened(at(api, "/notifications?status=failed"))
    selected = page.locator("#selected")
    page.get_by_label("All on this page").check()
    number = page.locator("input[name=id]").count()
    expect(selected).to_have_text(f"{number} selected")
    page.get_by_label(f"Select notification {mine[0]}").uncheck()
    expect(selected).to_have_text(f"{number - 1} selected")
    page.get_by_role("heading", name="Notifications").click()
    expect(page.locator("#live")).to_have_text("live")
    expect(selected).to_have_text(f"{number - 1} selected")
    expect(page.get_by_label(f"Select notification {mine[1]}")).to_be_checked()
    page.get_by_label("All on this page").check()
    page.get_by_label("All on this page").uncheck()
    expect(selected).to_have_text("")
    page.get_by_label(f"Select notification {mine[2]}").check()
    page.get_by_role("button", name="Retry selected").click()
    page.get_by_role("button", name="Retry 1 notification").click()
    eventually(lambda: status(api.sql, mine[2]) == "pending")
    assert status(api.sql, mine[1]) == "failed"
