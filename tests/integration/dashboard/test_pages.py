"""Rules for every page of the dashboard: headers, access, and hostile content."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from api import dashboard
from api.dashboard.nav import ENTRIES
from cli.servers.valkey import Valkey
from cli.up.mailbox import Slot
from tests.client import Client
from tests.dashboard import Person, logged_in
from tests.furnishing import HOSTILE, delivery, endpoint, failed, pending, status
from tests.integration.api import Api, running
from tests.keys import EVERY, client, key

# Each page by its route, with the scopes that it takes, all of them; none: it takes no session.
PAGES: dict[str, set[str]] = {
    "/": {"read"},
    "/login": set(),
    "/docs": set(),
    "/switch": {"read", "admin"},
    "/clients": {"read", "admin"},
    "/clients/{client}": {"read", "admin"},
    "/clients/{client}/disabled": {"read", "admin"},
    "/keys": {"read", "manage"},
    "/keys/{key}/revoke": {"read", "manage"},
    "/keys/{key}/rotate": {"read", "manage"},
    "/history": {"read"},
    "/pauses": {"read"},
    "/pauses/client": {"read", "manage"},
    "/pauses/channels/{channel}": {"read", "admin"},
    "/providers": {"read", "admin"},
    "/providers/{provider}": {"read", "admin"},
    "/audit": {"read", "manage"},
    "/callbacks": {"read", "manage"},
    "/callbacks/{endpoint}": {"read", "manage"},
    "/callbacks/{endpoint}/retry": {"read", "manage"},
    "/callbacks/{endpoint}/disabled": {"read", "manage"},
    "/callbacks/{endpoint}/deliveries/{delivery}": {"read", "manage"},
    "/domains": {"read"},
    "/domains/{domain}": {"read"},
    "/domains/{domain}/remove": {"read", "manage"},
    "/destinations": {"read", "manage"},
    "/destinations/{destination}/delete": {"read", "manage"},
    "/suppressions": {"read"},
    "/templates": {"read"},
    "/templates/{name}": {"read"},
    "/inbox": {"read", "admin"},
    "/inbox/{number}": {"read", "admin"},
    "/notifications": {"read"},
    "/notifications/{id}": {"read"},
    "/notifications/{id}/cancel": {"read", "manage"},
    "/notifications/{id}/retry": {"read", "manage"},
    "/notifications/{id}/resend": {"read", "send"},
    "/failures": {"read"},
    "/failures/retry": {"read", "manage"},
}
# What is no page: it takes only forms, or is a file, or in a frame.
OTHERS = {"/live", "/logout", "/static/{name}"}
OTHERS |= {"/callbacks/{endpoint}/test", "/callbacks/{endpoint}/deliveries/{delivery}/retry"}
OTHERS |= {"/suppressions/removal", "/templates/{name}/html", "/notifications/list.csv", "/notifications/selected"}
OTHERS |= {"/inbox/{number}/html", "/inbox/{number}/attachments/{file}"}
OTHERS |= {f"/notifications/{{id}}/{part}" for part in ("mail", "source", "attachments/{number}")}
# What stands for the names in braces, besides that of a notification: see `furnish`.
NAMES = {
    "{client}": "1",
    "{key}": "1",
    "{name}": "greeting",
    "{number}": "1",
    "{endpoint}": "1",
    "{destination}": "alerts",
    "{channel}": "email",
    "{provider}": "main",
    "{delivery}": "1",
    "{domain}": "example.com",
}
KIND = "reason=rejected&oldest=2024-01-01T00:00:00Z&newest=2024-01-02T00:00:00Z"
ROUTES = (
    "import json; from falcon.inspect import inspect_app; from api.app import create_app;"
    "print(json.dumps([route.path for route in inspect_app(create_app()).routes]))"
)


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    mail = tmp_path_factory.mktemp("mail")
    with running(
        module_database_url, redis_server.url, auth="required", login_rate=10_000, caught_mail=mail
    ) as started:
        furnish(started, mail)
        yield started


def furnish(api: Api, mail: Path) -> None:
    """Create what NAMES refer to, with texts that would do harm if they were taken for HTML."""
    assert key(api.sql).id == 1
    secret = key(api.sql)
    content = {"subject": f"Hi {HOSTILE}", "text": f"Hello {{{{ name }}}} {HOSTILE}", "html": f"<p>{HOSTILE}</p>"}
    client = Client(api.port)
    client.key = str(secret)
    assert client.send("PUT", "/api/templates/greeting", content).status == 201
    assert client.post("/api/suppressions", {"address": "someone@example.com"}).status == 201
    api.sql.rows("UPDATE suppressions SET source = %s RETURNING 1", HOSTILE)
    found = json.dumps({"TXT _dmarc.example.com": {"state": "wrong", "detail": HOSTILE, "found": [HOSTILE]}})
    api.sql.rows("INSERT INTO domains (client_id, domain, found) VALUES (1, 'example.com', %s) RETURNING 1", found)
    api.sql.rows("UPDATE keys SET name = %s RETURNING 1", HOSTILE)
    api.sql.rows("INSERT INTO clients (name) VALUES (%s) RETURNING 1", HOSTILE)
    assert delivery(api.sql, endpoint(api.sql, HOSTILE), HOSTILE) == 1
    place = {"name": "alerts", "kind": "slack", "url": "https://example.com/x", "description": HOSTILE.splitlines()[0]}
    assert client.post("/api/destinations", place).status == 201
    columns = "name, config, opened_at, probe_after, wait, reason"
    report = f"INSERT INTO providers ({columns}) VALUES ('main', '{{\"weight\": 1}}', now(), now(), 5, %s) RETURNING 1"
    api.sql.rows(report, HOSTILE)
    mails = Slot(mail, 10)
    mails.put(HOSTILE, [HOSTILE], f"Subject: {HOSTILE}\r\n\r\n{HOSTILE}".encode())


@pytest.fixture(scope="module")
def admin(api: Api) -> Person:
    return logged_in(api)


@pytest.fixture(scope="module")
def ids(api: Api) -> dict[str, int]:
    """By the end of a route the notification that it can show, of the client 1."""
    return {"cancel": pending(api.sql), "": failed(api.sql, HOSTILE, html=None)}


def place(route: str, ids: dict[str, int]) -> str:
    """An address of this route."""
    id = ids.get(route.rpartition("/")[2], ids[""])
    named = re.sub(r"\{\w+\}", lambda name: {**NAMES, "{id}": str(id)}[name[0]], route)
    return named + (f"?{KIND}" if route == "/failures/retry" else "")


def test_every_page_is_in_the_matrix_with_its_section() -> None:
    environ = {"DATABASE_URL": "postgresql://nobody", "REDIS_URL": "redis://nobody", "PATH": os.environ["PATH"]}
    environ["CAUGHT_MAIL"] = "anywhere"
    root = Path(__file__).parents[2]
    listed = subprocess.run([sys.executable, "-c", ROUTES], env=environ, cwd=root, capture_output=True, check=True)
    pages = {route for route in json.loads(listed.stdout) if dashboard.serves(route)}
    assert pages == PAGES.keys() | OTHERS
    assert {dashboard.section(page) for page in pages} == dashboard.SECTIONS
    assert not any(dashboard.serves(path) for path in ("/api/notifications", "/healthz", "/openapi.json", "/u/x"))


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_every_link_of_the_navigation_opens_a_page(entry: tuple[str, str, str]) -> None:
    _, path, scope = entry
    assert scope in PAGES[path]


@pytest.mark.parametrize("route", PAGES)
def test_every_page_has_the_security_headers(api: Api, admin: Person, ids: dict[str, int], route: str) -> None:
    person = admin if PAGES[route] else Person(api.port)
    page = person.get(place(route, ids))
    assert page.status == 200, page.text
    policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert {policy[kind] for kind in ("script-src", "style-src", "form-action", "connect-src")} == {"'self'"}
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    assert not re.search(r"<[^>]+\s(?:style|on\w+)=", page.html)
    assert not re.search(r"<(?:style|script)>", page.html)
    assert all(src.startswith("/") for src in re.findall(r'(?:src|href|action)="([^"#][^"]*)"', page.html))


@pytest.mark.parametrize("scope", EVERY)
@pytest.mark.parametrize("route", [route for route, scopes in PAGES.items() if scopes])
def test_a_page_opens_for_exactly_its_scopes(api: Api, ids: dict[str, int], route: str, scope: str) -> None:
    """With `read`, without which nobody is let in, and one more."""
    scopes = {"read", scope}
    person = logged_in(api, *scopes)
    assert person.get(place(route, ids)).status == (200 if PAGES[route] <= scopes else 403)


@pytest.mark.parametrize("route", [route for route, scopes in PAGES.items() if scopes])
def test_without_a_session_no_page_is_shown(api: Api, ids: dict[str, int], route: str) -> None:
    assert Person(api.port).get(place(route, ids)).status == 303
    forged = Person(api.port)
    forged.cookies["notify_session"] = "A" * 43
    assert forged.get(place(route, ids)).status == 303


def test_static_files_are_cached_for_ever_under_a_hashed_name(api: Api, admin: Person) -> None:
    files = re.findall(r'(?:src|href)="(/static/[^"]+)"', admin.get("/").html)
    assert files
    for file in files:
        answer = Person(api.port).get(file)
        assert answer.status == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert re.search(r"-[0-9a-f]{16}\.\w+$", file)
    assert Person(api.port).get("/static/base.css").status == 404


@pytest.mark.parametrize("route", PAGES)
def test_values_from_clients_are_shown_as_text_only(api: Api, admin: Person, ids: dict[str, int], route: str) -> None:
    page = (admin if PAGES[route] else Person(api.port)).get(place(route, ids))
    assert "<script>alert" not in page.html
    assert "<img src=x" not in page.html
    assert "onerror=alert" not in re.sub(r"&#39;&gt;&lt;img src=x onerror=alert\(1\)&gt;", "", page.html)
    assert "62615533" not in page.text


@pytest.mark.parametrize("route", [route for route in PAGES if "{id}" in route])
@pytest.mark.parametrize("id", ["0", "99999999999999999999", "-1", "x", "1%00", "%ff", "<script>"])
def test_unknown_id_is_answered_with_an_error_page(admin: Person, route: str, id: str) -> None:
    page = admin.get(route.replace("{id}", quote(id, safe="%")))
    assert (page.status, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is no notification with this id." in page.text


@pytest.mark.parametrize("route", [route for route in sorted({*PAGES, *OTHERS}) if "{id}" in route])
@pytest.mark.parametrize("method", ["get", "post"])
def test_the_page_of_another_clients_notification_is_a_404(api: Api, route: str, method: str) -> None:
    stranger = logged_in(api, of=client(api.sql, f"stranger {method} {route}"))
    mine = {"cancel": pending(api.sql), "": failed(api.sql)}
    address = place(route, mine).replace("{number}", "1")
    if method == "get":
        assert stranger.get(address).status == 404
        return
    fields = {"form_token": stranger.get("/").token, "once": "A" * 22}
    assert stranger.post(address, fields).status in (404, 405)
    assert status(api.sql, mine["cancel"]) == "pending"
    assert status(api.sql, mine[""]) == "failed"
    assert api.sql.rows("SELECT 1 FROM notifications WHERE client_id <> 1") == []


@pytest.mark.parametrize("path", ["/nothing", "/nothing/here", "/apis"])
def test_a_browser_at_an_unknown_path_gets_an_error_page(api: Api, path: str) -> None:
    page = Person(api.port).get(path, Accept="text/html,application/xhtml+xml,*/*;q=0.8")

    assert (page.status, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is no page at this address." in page.text
    assert "www-authenticate" not in page.headers
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(
    ("path", "accept"), [("/nothing", "*/*"), ("/api/callbacks", "text/html"), ("/api/x", "text/html")]
)
def test_a_program_or_a_path_of_the_api_gets_a_problem_document(api: Api, path: str, accept: str) -> None:
    page = Person(api.port).get(path, Accept=accept)

    assert (page.status, page.headers["content-type"]) == (401, "application/problem+json")
