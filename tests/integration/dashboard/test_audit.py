"""The audit log has the logins and refused logins at the dashboard; events name the key of a POST."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from actors.channels.email.unsubscribing import token
from api.dashboard.login import REFUSALS_NOTED
from cli.servers.valkey import Valkey
from settings import read
from tests.client import NOTIFICATIONS
from tests.contract import CheckedClient
from tests.dashboard import Person
from tests.integration.api import Api, running
from tests.integration.test_api_suppressions import SECRET
from tests.keys import client, key

MAIL = {"type": "email", "recipient": "a@example.com", "message": "Hi", "unsubscribe": True}


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url, auth="required", login_rate=10_000, **SECRET) as started:
        yield started


@pytest.fixture
def person(api: Api) -> Person:
    return Person(api.port)


def records(api: Api, act: str) -> list[tuple[Any, ...]]:
    sql = "SELECT client_id, target, actor, key_id, address FROM audit WHERE act = %s ORDER BY id"
    return [tuple(row) for row in api.sql.rows(sql, act)]


def asking(api: Api, **options: Any) -> CheckedClient:
    fresh = api.client
    fresh.key = str(key(api.sql, **options))
    return fresh


def test_a_login_and_a_logout_are_recorded_once_each(api: Api, person: Person) -> None:
    owner = client(api.sql, "somebody's")
    mine = key(api.sql, of=owner)
    assert person.log_in(mine).status == 303
    assert person.submit("/", to="/logout").status == 303
    assert person.post("/logout").status in (303, 403)

    for act in ("session.began", "session.ended"):
        assert records(api, act)[-1] == (owner, f"key {mine.id}", "key", mine.id, "127.0.0.1")
        assert [row for row in records(api, act) if row[3] == mine.id] == [records(api, act)[-1]]


def test_a_refused_login_is_recorded_without_what_was_typed(api: Api, person: Person) -> None:
    blind = key(api.sql, ["send"])
    before = len(records(api, "session.refused"))
    assert person.log_in(blind).status == 403
    assert person.log_in("ntf_live_1_made-up").status == 403

    assert records(api, "session.refused")[before:] == [
        (1, f"key {blind.id}", "anybody", None, "127.0.0.1"),
        (None, None, "anybody", None, "127.0.0.1"),
    ]
    [(found,)] = api.sql.rows("SELECT count(*) FROM audit WHERE audit::text LIKE '%%made-up%%'")
    assert found == 0


def test_refused_logins_do_not_fill_the_audit_log(module_database_url: str, redis_server: Valkey) -> None:
    with running(module_database_url, redis_server.url, auth="required", login_rate=10_000) as api:
        person, before = Person(api.port), len(records(api, "session.refused"))
        page = person.get("/login")
        for _ in range(3 * REFUSALS_NOTED):
            assert person.post("/login", {"form_token": page.token, "key": "no"}).status == 403
        noted = len(records(api, "session.refused")) - before
        # A minute may have ended in between.
        assert REFUSALS_NOTED <= noted <= 2 * REFUSALS_NOTED


def test_the_accepted_event_names_the_key_that_posted_it(api: Api) -> None:
    mine = key(api.sql)
    poster = api.client
    poster.key = str(mine)
    single = poster.notify("a@example.com").json["id"]
    once = poster.post(NOTIFICATIONS, MAIL, idempotency_key="k").json["id"]
    items = [{"type": "email", "recipient": "b@example.com", "message": "Hi"}] * 2
    batch = poster.post(f"{NOTIFICATIONS}/batch", {"items": items}).json["items"]
    for id in (single, once, *(item["id"] for item in batch)):
        [accepted] = poster.get(f"{NOTIFICATIONS}/{id}/events").json["items"]
        assert (accepted["event"], accepted["detail"]) == ("accepted", {"keyId": mine.id})


def test_a_notification_resent_at_the_dashboard_names_the_key_of_the_session(api: Api, person: Person) -> None:
    first, second = key(api.sql), key(api.sql)
    poster = api.client
    poster.key = str(first)
    id = poster.notify("a@example.com").json["id"]
    person.log_in(second)
    page = person.get(f"/notifications/{id}/resend")
    once = page.html.partition('name="once" value="')[2].partition('"')[0]
    again = person.post(f"/notifications/{id}/resend", {"form_token": page.token, "once": once})
    resent = again.headers["location"].rpartition("/")[2]
    [accepted] = poster.get(f"{NOTIFICATIONS}/{resent}/events").json["items"]
    assert accepted["detail"] == {"keyId": second.id}


@pytest.mark.parametrize(
    ("scopes", "sandbox", "shown"),
    [
        (["read"], False, False),
        (["read", "send"], False, False),
        (["read", "manage"], True, False),
        (["read", "manage"], False, True),
    ],
)
def test_the_source_of_a_mail_has_no_working_unsubscribe_link_for_readers(
    api: Api, person: Person, scopes: list[str], sandbox: bool, shown: bool
) -> None:
    id = asking(api).post(NOTIFICATIONS, MAIL).json["id"]
    person.log_in(key(api.sql, scopes, sandbox=sandbox))
    source = person.get(f"/notifications/{id}/source").html
    assert "List-Unsubscribe: <https://notify.example.com/u/" in source
    works = token(id, read({name.upper(): value for name, value in SECRET.items()}).public)
    assert (works in source) == shown


def test_answers_of_the_api_and_pages_are_not_cached(api: Api) -> None:
    asker = asking(api)
    id = asker.post(NOTIFICATIONS, MAIL).json["id"]
    paths = [NOTIFICATIONS, f"{NOTIFICATIONS}/{id}", f"{NOTIFICATIONS}/{id}/events", f"{NOTIFICATIONS}/{id}/attempts"]
    paths += [
        "/api/suppressions",
        "/api/templates",
        "/api/callbacks",
        "/api/clients",
        "/api/clients/1/keys",
        "/api/audit",
    ]
    paths += ["/api/export", "/api/pauses", "/api/limits", f"{NOTIFICATIONS}/999999", "/api/suppressions/a@example.com"]
    paths += ["/u/unknown", f"/{NOTIFICATIONS}"]
    for path in paths:
        assert asker.get(path).headers["cache-control"] == "no-store", path
    assert asker.post(NOTIFICATIONS, {}).headers["cache-control"] == "no-store"
    assert api.client.get(NOTIFICATIONS).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(("scopes", "lacking"), [(["manage"], "read"), (["read"], "manage"), (["send"], "manage")])
def test_an_export_needs_the_scopes_read_and_manage(api: Api, scopes: list[str], lacking: str) -> None:
    refused = asking(api, scopes=scopes).get("/api/export")
    assert refused.status == 403
    assert repr(lacking) in refused.json["detail"]
