"""Access to the dashboard: sessions and their ends, what a key may see, forms that are not ours."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cli.servers.valkey import Valkey
from tests.client import Client
from tests.dashboard import Page, Person, logged_in
from tests.eventually import eventually
from tests.integration.api import Api, running
from tests.keys import client, key


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url, auth="required", login_rate=10_000) as started:
        yield started


@pytest.fixture
def person(api: Api) -> Person:
    return Person(api.port)


def sent_to_login(page: Page) -> bool:
    return page.status == 303 and page.headers["location"].startswith("/login")


def test_without_a_session_pages_redirect_to_the_login_and_back(api: Api, person: Person) -> None:
    assert person.get("/").headers["location"] == "/login"
    away = person.get("/switch?cursor=1")
    assert away.headers["location"] == "/login?next=/switch"
    back = person.submit("/login?next=/switch", {"key": str(key(api.sql)), "next": "/switch"})
    assert back.status == 303, back.text
    assert back.headers["location"] == "/switch"


def test_the_session_cookie_is_httponly_and_contains_no_key(api: Api, person: Person) -> None:
    mine = key(api.sql, ["read"])

    answer = person.log_in(mine)

    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Max-Age=43200" in cookie
    assert mine.secret not in cookie
    [(stored,)] = api.sql.rows("SELECT count(*) FROM sessions WHERE position(%s IN digest::text) > 0", "notify")
    assert stored == 0
    assert person.get("/").status == 200


def test_over_https_the_session_cookie_is_secure(api: Api) -> None:
    cookie = Person(api.port, {"X-Forwarded-Proto": "https"}).get("/login").headers["set-cookie"]
    assert "; Secure" in cookie
    assert "; Secure" not in Person(api.port).get("/login").headers["set-cookie"]


@pytest.mark.parametrize("given", ["", "ntf_live_1_x", "x" * 5_000, "ntf_live_999_" + "A" * 43, "<script>"])
def test_invalid_keys_are_refused_with_the_same_message(person: Person, given: str) -> None:
    answer = person.log_in(given)
    assert answer.status == 403
    assert "This key does not work" in answer.text
    assert sent_to_login(person.get("/"))


def test_a_key_without_the_scope_read_cannot_log_in(api: Api, person: Person) -> None:
    assert "lacks the scope" in person.log_in(key(api.sql, ["send", "manage"])).text
    assert sent_to_login(person.get("/"))


@pytest.mark.parametrize(
    "end",
    [
        "UPDATE keys SET revoked_at = now() WHERE id = %s RETURNING 1",
        "UPDATE keys SET expires_at = now() WHERE id = %s RETURNING 1",
        "UPDATE sessions SET ends_at = now() WHERE key_id = %s RETURNING 1",
    ],
    ids=["revoked", "expired", "over"],
)
def test_a_session_ends_at_once_with_its_key_or_its_time(api: Api, person: Person, end: str) -> None:
    mine = key(api.sql, ["read"])
    person.log_in(mine)
    assert person.get("/").status == 200

    api.sql.rows(end, mine.id)

    assert sent_to_login(person.get("/"))


def test_a_session_ends_with_its_client(api: Api, person: Person) -> None:
    other = client(api.sql, "switched off")
    person.log_in(key(api.sql, ["read"], of=other))
    assert person.get("/").status == 200
    api.sql.rows("UPDATE clients SET disabled_at = now() WHERE id = %s RETURNING 1", other)
    assert sent_to_login(person.get("/"))


def test_logging_out_ends_the_session_everywhere(api: Api, person: Person) -> None:
    person.log_in(key(api.sql, ["read"]))
    copied = dict(person.cookies)

    out = person.submit("/", to="/logout")

    assert out.headers["location"] == "/login"
    assert "You are logged out." in person.get("/login").text
    person.cookies = copied
    assert sent_to_login(person.get("/"))


def test_a_session_id_set_before_the_login_is_not_used(api: Api, person: Person) -> None:
    person.get("/login")
    before = person.cookies["notify_session"]
    person.log_in(key(api.sql, ["read"]))
    assert person.cookies["notify_session"] != before


def test_the_session_cookie_does_not_authenticate_at_the_api(api: Api, person: Person) -> None:
    person.log_in(key(api.sql))
    for path in ("/api/notifications", "/api/clients", "/api/limits"):
        assert person.get(path).status == 401
    assert Client(api.port).request("GET", "/", headers={"Authorization": f"Bearer {key(api.sql)}"}).status == 303


@pytest.mark.parametrize(
    "wrong",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
    ],
    ids=str,
)
def test_a_form_of_another_origin_is_refused(api: Api, person: Person, wrong: dict[str, str]) -> None:
    person.log_in(key(api.sql))
    token = person.get("/switch").token
    assert person.post("/switch", {"form_token": token, "client": 1}, **wrong).status == 403
    assert person.post("/switch", {"form_token": token, "client": 1}, Origin="null").status == 303


@pytest.mark.parametrize("path", ["/switch", "/logout"])
@pytest.mark.parametrize("token", [None, "", "x", "ü"])
def test_a_form_without_its_token_is_refused(api: Api, person: Person, path: str, token: str | None) -> None:
    person.log_in(key(api.sql))
    fields: dict[str, object] = {"client": 1} if token is None else {"client": 1, "form_token": token}
    refused = person.post(path, fields)
    assert refused.status == 403
    assert "too old" in refused.text
    assert person.get("/").status == 200


def test_the_token_of_another_session_is_refused(api: Api, person: Person) -> None:
    person.log_in(key(api.sql))
    other = logged_in(api)
    assert person.post("/switch", {"form_token": other.get("/").token, "client": 1}).status == 403


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{}", {"Content-Type": "application/json"}, 415),
        (b"a=%ff", {}, 400),
        (b"a=\xff", {}, 400),
        (b"a=%00", {}, 400),
        (b"a=1&" * 500, {}, 400),
        (b"a" * 600_000, {}, 413),
    ],
    ids=["json", "no UTF-8", "no ASCII", "a null", "many", "large"],
)
def test_malformed_form_is_answered_with_an_error_page(
    api: Api, person: Person, body: bytes, headers: dict[str, str], status: int
) -> None:
    person.log_in(key(api.sql))
    cookie = "; ".join(f"{name}={value}" for name, value in person.cookies.items())
    sent = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie} | headers
    answer = Client(api.port).request("POST", "/switch", body, sent)
    assert (answer.status, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")


@pytest.mark.parametrize(
    "to", ["//evil.example", "/\\evil.example", "https://evil.example", "/api/notifications", "/logout", "/a\r\nb", "x"]
)
def test_a_login_redirects_only_to_own_pages(api: Api, person: Person, to: str) -> None:
    assert person.submit("/login", {"key": str(key(api.sql)), "next": to}).headers["location"] == "/"


def test_a_link_from_another_site_opens_with_the_session(person: Person) -> None:
    first = person.get("/switch", Sec_Fetch_Site="cross-site")
    assert first.status == 200
    assert '<meta http-equiv="refresh" content="0; url=/switch">' in first.html
    assert sent_to_login(person.get("/switch", Sec_Fetch_Site="same-origin"))


def test_only_an_admin_can_choose_a_client(api: Api, person: Person) -> None:
    other = client(api.sql, "the other one")
    person.log_in(key(api.sql))
    assert "the other one" in person.get("/switch").text

    person.submit("/switch", {"client": other})

    assert "the other one" in person.get("/").text
    assert person.submit("/switch", {"client": 10**12}).status == 404
    for scopes, sandbox in ((["read", "manage"], False), (["read", "admin"], True)):
        weaker = logged_in(api, *scopes, sandbox=sandbox)
        weaker.cookies["notify_client"] = str(other)
        assert "the other one" not in weaker.get("/").text
        assert weaker.get("/switch").status == 403


def test_unknown_path_is_answered_with_an_error_page(api: Api, person: Person) -> None:
    person.log_in(key(api.sql, ["read"]))
    assert person.get("/static/none.css").status == 404
    nothing = person.get("/switch/none")
    assert (nothing.status, nothing.headers["content-type"]) == (404, "text/html; charset=utf-8")


def test_ended_sessions_are_deleted(api: Api, person: Person) -> None:
    mine = key(api.sql, ["read"])
    person.log_in(mine)
    api.sql.rows("UPDATE sessions SET ends_at = now() WHERE key_id = %s RETURNING 1", mine.id)
    Person(api.port).log_in(key(api.sql, ["read"]))
    assert api.sql.rows("SELECT count(*) FROM sessions WHERE key_id = %s", mine.id) == [(0,)]


def test_the_use_of_a_session_updates_the_last_use_of_its_key(api: Api, person: Person) -> None:
    mine = key(api.sql, ["read"])
    person.log_in(mine)
    used = "SELECT last_used_at IS NOT NULL FROM keys WHERE id = %s"
    eventually(lambda: api.sql.rows(used, mine.id) == [(True,)])


def test_the_log_has_pages_without_their_query(api: Api, person: Person) -> None:
    mine = key(api.sql, ["read"])
    person.log_in(mine)
    person.get("/switch?cursor=secret%40example.com")
    eventually(lambda: '"route":"/switch"' in api.log)
    assert "secret" not in api.log.replace("SECRET", "")
    assert mine.secret not in api.log


def test_too_many_logins_are_refused(api: Api, module_database_url: str, redis_server: Valkey) -> None:
    with running(module_database_url, redis_server.url, auth="required", login_rate=2) as strict:
        person = Person(strict.port)
        assert [person.log_in("wrong").status for _ in range(3)][-1] == 429
        assert "Wait a minute" in person.log_in("wrong").text


def test_with_auth_off_only_loopback_host_names_are_accepted(module_database_url: str, redis_server: Valkey) -> None:
    with running(
        module_database_url, redis_server.url, public_url="https://ours.example", unsubscribe_secret="x" * 32
    ) as open_:
        for host, status in (
            ("evil.example", 421),
            ("evillocalhost", 421),
            ("localhost:1", 200),
            ("[::1]:80", 200),
            ("ours.example", 200),
        ):
            assert Person(open_.port).get("/", Host=host).status == status
        person = Person(open_.port)
        assert person.submit("/switch", {"client": 1}).status == 303
        assert person.post("/switch", {"client": 1}).status == 403
