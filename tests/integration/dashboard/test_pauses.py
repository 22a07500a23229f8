"""Pauses and the audit log, as pages: a pause is the same as one of the API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cli.servers.valkey import Valkey
from tests.dashboard import Page, Person, logged_in
from tests.integration.api import Api, running
from tests.keys import client


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url, auth="required", login_rate=10_000) as api:
        yield api


def told(person: Person, answer: Page) -> str:
    """Return the text of the page to which an act redirects."""
    assert answer.status == 303, answer.text
    return person.get(answer.headers["location"]).text


def in_force(api: Api) -> list[tuple[str, str]]:
    return [tuple(row) for row in api.sql.rows("SELECT kind, name FROM pauses WHERE resumed_at IS NULL")]


def test_a_client_is_paused_after_a_confirmation_and_resumed(api: Api) -> None:
    shop = client(api.sql, "shop")
    person = logged_in(api, "read", "manage", of=shop)
    assert "Client shop running Pause" in person.get("/pauses").text
    assert "Pause the client shop?" in person.get("/pauses/client").text

    paused = told(person, person.submit("/pauses/client", {"paused": "true"}))
    assert "Paused. Notifications are accepted" in paused
    assert "Resume the client shop" in paused
    assert in_force(api) == [("client", str(shop))]
    assert "running" in told(person, person.submit("/pauses", {"paused": "false"}, to="/pauses/client"))
    assert in_force(api) == []
    acts = "SELECT act FROM audit WHERE target = %s ORDER BY id"
    assert api.sql.rows(acts, f"client {shop}") == [("pause.began",), ("pause.ended",)]


def test_an_admin_pauses_a_channel_for_all(api: Api) -> None:
    admin = logged_in(api, "read", "admin")
    assert "of all clients" in admin.get("/pauses/channels/email").text
    assert "Resume the channel email" in told(admin, admin.submit("/pauses/channels/email", {"paused": "true"}))
    assert in_force(api) == [("channel", "email")]
    reader = logged_in(api, "read")
    assert "Channel email , all clients paused" in reader.get("/pauses").text
    assert "Resume" not in reader.get("/pauses").text
    assert "running" in told(admin, admin.submit("/pauses", {"paused": "false"}, to="/pauses/channels/email"))
    assert admin.get("/pauses/channels/pigeon").status == 404
    assert admin.submit("/pauses", {"paused": "true"}, to="/pauses/channels/pigeon").status == 404
    assert in_force(api) == []


def test_a_key_without_the_scope_cannot_pause(api: Api) -> None:
    for person in (logged_in(api, "read"), logged_in(api, "read", "manage", "admin", sandbox=True)):
        for place in ("/pauses/client", "/pauses/channels/email"):
            assert person.submit("/", {"paused": "true"}, to=place).status == 403
    assert logged_in(api, "read", "manage").submit("/", {}, to="/pauses/channels/email").status == 403
    assert in_force(api) == []


def test_the_audit_log_is_filtered_and_paged(api: Api) -> None:
    admin = logged_in(api, "read", "manage", "admin")
    admin.submit("/pauses/client", {"paused": "true"})
    admin.submit("/pauses", {"paused": "false"}, to="/pauses/client")

    shown = admin.get("/audit?act=pause.began").text
    assert "pause.began" in shown
    assert "pause.ended" not in shown.split("Details")[1]
    assert "127.0.0.1" in shown
    first = admin.get("/audit?limit=1&act=")
    assert "Next page" in first.text
    assert admin.get("/audit?keyId=x").status == 400


def test_a_client_sees_its_own_records_only(api: Api) -> None:
    store = client(api.sql, "store")
    person = logged_in(api, "read", "manage", of=store)
    logged_in(api, "read", "manage")
    table = person.get("/audit").text.split("Details")[1]
    assert table.count("session.began") == 1


def test_the_page_of_a_client_shows_its_counts(api: Api) -> None:
    api.sql.rows(
        "INSERT INTO history SELECT 1, 'type', date_trunc('hour', now(), 'UTC'), 'email', 'sent', 2, 1234 RETURNING 1"
    )
    page = logged_in(api, "read", "admin").get("/clients/1")
    assert "The last 7 days Sent 1 234 Failed 0 Cancelled 0 Success rate 100 % Half sent within ≤ 0.5 s" in page.text
