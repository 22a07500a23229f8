"""Pages for clients, keys, the suppression list, templates and the inbox: actions have the effect of the API."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from cli.servers.valkey import Valkey
from cli.up.mailbox import Slot
from tests.client import Client
from tests.dashboard import Page, Person, logged_in
from tests.integration.api import Api, running
from tests.keys import client, key


@pytest.fixture(scope="module")
def mails(tmp_path_factory: pytest.TempPathFactory) -> Slot:
    return Slot(tmp_path_factory.mktemp("caught") / "mail", 100)


@pytest.fixture(scope="module")
def api(
    module_database_url: str, redis_server: Valkey, mails: Slot, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    caught = mails._mailbox.path(1).parent
    with running(module_database_url, redis_server.url, auth="required", login_rate=10_000, caught_mail=caught) as api:
        yield api


@pytest.fixture
def admin(api: Api) -> Person:
    return logged_in(api, "read", "manage", "admin")


def told(person: Person, answer: Page) -> str:
    """Return the text of the page to which an act redirects."""
    assert answer.status == 303, answer.text
    return person.get(answer.headers["location"]).text


def test_a_created_key_is_shown_once_and_works(api: Api, admin: Person) -> None:
    made = admin.submit("/keys", {"name": "my app", "scope": ["send", "read"], "expires": "2099-01-01"})

    assert made.status == 200, made.text
    [text] = re.findall(r"ntf_live_\d+_[\w-]+", made.text)
    assert made.headers["cache-control"] == "no-store"
    assert text not in admin.get("/keys").html
    user = Client(api.port)
    user.key = text
    assert user.notify("a@example.com").status == 201
    assert user.get("/api/suppressions").status == 200
    assert user.post("/api/suppressions", {"address": "a@example.com"}).status == 403


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"scope": "send"}, "Name must"),
        ({"name": "x"}, "Scopes must"),
        ({"name": "x", "scope": "admin"}, "Scopes must be one of"),
        ({"name": "x", "scope": "send", "expires": "2001-01-01"}, "Expires on must be in the future"),
        ({"name": "x", "scope": "send", "expires": "soon"}, "Expires on must"),
    ],
    ids=str,
)
def test_a_refused_key_is_explained_next_to_the_form(admin: Person, fields: dict[str, object], said: str) -> None:
    answer = admin.submit("/keys", fields)
    assert (answer.status, said in answer.text) == (422, True), answer.text
    assert f'value="{fields.get("name", "")}"' in answer.html


def test_a_key_cannot_give_a_scope_that_it_lacks(api: Api) -> None:
    answer = logged_in(api, "read", "manage").submit("/keys", {"name": "x", "scope": "send"})
    assert (answer.status, "cannot grant the scope" in answer.text) == (403, True)


def test_a_key_is_revoked_after_a_confirmation(api: Api, admin: Person) -> None:
    other = key(api.sql)
    assert "stops working everywhere" in admin.get(f"/keys/{other.id}/revoke").text
    assert f"Key {other.id} is revoked." in told(admin, admin.submit(f"/keys/{other.id}/revoke"))
    assert api.sql.rows("SELECT revoked_at IS NOT NULL FROM keys WHERE id = %s", other.id) == [(True,)]
    assert api.sql.rows("SELECT actor FROM audit WHERE act = 'key.revoked' AND target = %s", f"key {other.id}")


def test_a_rotated_key_has_a_successor_and_works_during_the_overlap(api: Api, admin: Person) -> None:
    other = key(api.sql, ["read"])
    answer = admin.submit(f"/keys/{other.id}/rotate")
    [text] = re.findall(r"ntf_live_\d+_[\w-]+", answer.text)
    for secret in (text, str(other)):
        user = Client(api.port)
        user.key = secret
        assert user.get("/api/notifications").status == 200
    assert admin.submit(f"/keys/{other.id}/rotate").status == 409


def test_keys_of_another_client_are_a_404(api: Api) -> None:
    theirs = key(api.sql, of=client(api.sql, "keys of others"))
    person = logged_in(api, "read", "manage")
    for page in (f"/keys/{theirs.id}/revoke", f"/keys/{theirs.id}/rotate"):
        assert person.get(page).status == 404
        assert person.submit("/keys", to=page).status == 404


def test_a_client_is_created_limited_disabled_and_enabled(api: Api, admin: Person) -> None:
    made = admin.submit("/clients", {"name": "shop"})
    place = made.headers["location"]
    assert "The client is created." in told(admin, made)
    limits = {"rateLimit": "60", "dailyQuota": "", "pendingLimit": "1000", "phoneRegion": "CH"}
    api.sql.rows("INSERT INTO providers (name, config) VALUES ('backup', '{\"channel\": \"email\"}') RETURNING 1")
    limits["providers"] = "backup\r\n"
    limits["senders"] = "a@example.com\r\n@example.org\r\n\r\nsms:My Shop"
    assert "Saved" in told(admin, admin.submit(place, limits))
    columns = "rate_limit, daily_quota, pending_limit, phone_region, senders, providers"
    assert api.sql.rows(f"SELECT {columns} FROM clients WHERE name = 'shop'") == [
        (60, None, 1000, "CH", ["a@example.com", "@example.org", "sms:My Shop"], {"email": ["backup"]})
    ]
    assert ">backup</textarea>" in admin.get(place).html

    assert "Disable shop?" in admin.get(f"{place}/disabled").text
    assert "is disabled" in told(admin, admin.submit(f"{place}/disabled", {"disabled": "true"}))
    assert "Enable shop?" in admin.get(f"{place}/disabled").text
    assert "is enabled" in told(admin, admin.submit(f"{place}/disabled", {"disabled": "false"}))
    assert api.sql.rows("SELECT disabled_at FROM clients WHERE name = 'shop'") == [(None,)]


def test_a_refused_client_is_explained_next_to_the_form(admin: Person) -> None:
    assert "choose another" in admin.submit("/clients", {"name": "default"}).text
    for fields, said in (
        ({"rateLimit": "many"}, "Per minute must"),
        ({"pendingLimit": "0"}, "Pending must"),
        ({"senders": "nobody"}, "Senders"),
        ({"phoneRegion": "Switzerland"}, "Phone region"),
        ({"providers": "nobody"}, "Providers there is no provider 'nobody'"),
    ):
        answer = admin.submit("/clients/1", fields)
        assert (answer.status, said in answer.text) == (422, True), answer.text


def test_an_address_is_suppressed_and_removed_after_a_confirmation(api: Api, admin: Person) -> None:
    assert "is on the list." in told(admin, admin.submit("/suppressions", {"address": "Nobody@Example.com"}))
    assert "already" in told(admin, admin.submit("/suppressions", {"address": "nobody@example.com"}))
    assert "nobody@example.com" in admin.get("/suppressions?reason=manual").text
    assert "nobody@example.com" not in admin.get("/suppressions?reason=bounced").text

    asked = admin.submit("/suppressions", {"address": "nobody@example.com"}, to="/suppressions/removal")
    assert "Send to nobody@example.com again?" in asked.text
    sure = {"address": "nobody@example.com", "sure": "yes"}
    assert "is removed" in told(admin, admin.submit("/suppressions", sure, to="/suppressions/removal"))
    assert admin.submit("/suppressions", sure, to="/suppressions/removal").status == 404
    assert "Address must" in admin.submit("/suppressions", {"address": "nobody"}).text


def test_a_key_with_the_scope_read_sees_no_buttons_and_cannot_act(api: Api) -> None:
    reader = logged_in(api, "read")
    page = reader.get("/suppressions")
    assert "Add an address" not in page.text
    for to, fields in (("/suppressions", {"address": "a@b.c"}), ("/suppressions/removal", {"address": "a@b.c"})):
        assert reader.submit("/suppressions", fields, to=to).status == 403
    assert reader.get("/keys").status == reader.get("/clients").status == reader.get("/inbox").status == 403


def test_a_test_key_can_change_nothing_live(api: Api) -> None:
    person = logged_in(api, "read", "manage", "admin", sandbox=True)
    assert person.submit("/suppressions", {"address": "a@example.com"}).status == 403
    assert person.submit("/clients", {"name": "theirs"}).status == 403
    assert person.submit("/clients/1/disabled", {"disabled": "true"}).status == 403
    assert person.submit("/keys", {"name": "x", "scope": "read"}).status == 403


def test_a_template_is_previewed_in_any_version(api: Api, admin: Person) -> None:
    user = Client(api.port)
    user.key = str(key(api.sql))
    for text in ("One {{ n }}", "Two {{ n }}"):
        template = {"subject": "Hi {{ n }}", "text": text, "html": "<b style='color:red'>{{ n }}</b>"}
        assert user.send("PUT", "/api/templates/hello", template).status == 201
    assert "hello" in admin.get("/templates").text

    shown = admin.submit("/templates/hello", {"variables": '{"n": "<Ann>"}', "version": "1"})
    assert (shown.status, "One <Ann>" in shown.text, "Hi <Ann>" in shown.text) == (200, True, True)
    framed = admin.submit("/templates/hello", {"variables": '{"n": "<Ann>"}'}, to="/templates/hello/html")
    assert framed.html == "<b style='color:red'>&lt;Ann&gt;</b>"
    assert "sandbox" in framed.headers["content-security-policy"]
    assert framed.headers["x-frame-options"] == "SAMEORIGIN"
    assert admin.get("/templates/none").status == 404


@pytest.mark.parametrize("variables", ["{", "[]", '{"n": NaN}', "[" * 1_000, "{}"], ids=lambda text: text[:10])
def test_invalid_variables_are_explained_next_to_the_form(api: Api, admin: Person, variables: str) -> None:
    user = Client(api.port)
    user.key = str(key(api.sql))
    user.send("PUT", "/api/templates/strict", {"subject": "Hi", "text": "{{ n }}"})
    answer = admin.submit("/templates/strict", {"variables": variables})
    assert (answer.status, 'role="alert"' in answer.html) == (422, True), answer.text


def test_a_caught_mail_is_shown_with_its_parts_and_its_html_in_a_frame(admin: Person, mails: Slot) -> None:
    evil = "<script>alert(1)</script>"
    content = f"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nContent-Type: text/html\r\n\r\n<b>{evil}</b>\r\n"
    number = mails.put("a@example.com", ["b@example.com", "hidden@example.com"], content.encode())

    assert "Grüße" in admin.get("/inbox").text
    page = admin.get(f"/inbox/{number}")
    assert "hidden@example.com" in page.text
    assert evil not in page.html
    framed = admin.get(f"/inbox/{number}/html")
    assert evil in framed.html
    policy = framed.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy.split("; ")
    assert admin.get("/inbox/99999999").status == admin.get("/inbox/none").status == 404


def test_the_inbox_is_paged(admin: Person, mails: Slot) -> None:
    numbers = [mails.put("a@example.com", ["b@example.com"], b"Subject: one of many\r\n\r\n") for _ in range(60)]
    first = admin.get("/inbox")
    assert f"/inbox/{numbers[-1]}" in first.html
    [more] = re.findall(r'href="(/inbox\?before=\d+)"', first.html)
    assert f'"/inbox/{numbers[5]}"' in admin.get(more).html
