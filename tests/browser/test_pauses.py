"""Pauses and the audit log in a browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cli.servers.valkey import Valkey
from tests.browser.conftest import PHONE, Open, faults, overflows
from tests.integration.api import Api, running

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url) as api:
        yield api


def at(api: Api, path: str) -> str:
    return f"http://127.0.0.1:{api.port}{path}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pauses_and_the_audit_log_are_accessible_and_fit_a_phone(api: Api, opened: Open, scheme: str) -> None:
    page = opened(at(api, "/pauses/client"), color_scheme=scheme, **PHONE)
    page.get_by_role("button", name="Pause").click()
    for path in ("/pauses", "/pauses/client", "/pauses/channels/callback", "/audit", "/audit?act=none"):
        page.goto(at(api, path))
        assert (path, faults(page), overflows(page)) == (path, [], False)


def test_a_person_pauses_and_resumes_a_channel(api: Api, opened: Open) -> None:
    page = opened(at(api, "/pauses"), java_script_enabled=False)
    page.get_by_role("link", name="Pause the channel email").click()
    page.get_by_role("button", name="Pause").click()
    assert "Paused." in page.get_by_role("status").inner_text()
    page.get_by_role("button", name="Resume the channel email").click()
    assert "Resumed." in page.get_by_role("status").inner_text()
    page.get_by_role("link", name="Audit").click()
    assert page.get_by_role("cell", name="pause.ended").first.is_visible()
