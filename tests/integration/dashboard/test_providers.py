"""Pages of providers: their content, and changes by operators under the rules of the API."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from cli.servers.valkey import Valkey
from tests.dashboard import Page, Person, logged_in
from tests.eventually import eventually
from tests.integration.api import Api, running

SERVER = "[2001:db8::1]:587"
CONFIG = {"channel": "email", "priority": 1, "weight": 2, "connections": 20, "rate": 14.5}
DOWN = "UPDATE providers SET opened_at = now(), reason = '421 busy', probe_after = now(), wait = 5"


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url, auth="required", login_rate=10_000) as api:
        yield api


@pytest.fixture(autouse=True)
def reported(api: Api) -> None:
    """Two providers of one live worker."""
    for table in ("workers", "providers"):
        api.sql.rows(f"DELETE FROM {table} RETURNING 1")
    for name in ("backup", SERVER):
        api.sql.rows("INSERT INTO providers (name, config) VALUES (%s, %s) RETURNING 1", name, json.dumps(CONFIG))
    api.sql.rows(
        "INSERT INTO workers (id, host, pid, threads, provider, tallies)"
        " VALUES (gen_random_uuid(), 'h', 1, 8, %s, %s) RETURNING 1",
        *(f"backup, {SERVER}", json.dumps({f"{SERVER} sent": 3, f"{SERVER} deferred": 1})),
    )


def told(person: Person, answer: Page) -> str:
    """Return the text of the page to which an action redirects."""
    assert answer.status == 303, answer.text
    return person.get(answer.headers["location"]).text


def stored(api: Api, name: str) -> tuple[bool, int | None]:
    [(enabled, weight)] = api.sql.rows("SELECT enabled, weight FROM providers WHERE name = %s", name)
    return enabled, weight


def test_a_provider_whose_reports_have_stopped_says_so(api: Api) -> None:
    person = logged_in(api, "read", "admin")
    assert "its reports have stopped" not in person.get("/providers").text
    api.sql.rows("UPDATE providers SET silent_since = now(), usual_share = 1 WHERE name = 'backup' RETURNING 1")
    assert person.get("/providers").text.count("its reports have stopped since") == 1


def test_providers_are_shown_with_their_limits_and_their_throughput(api: Api) -> None:
    api.sql.rows(f"{DOWN} WHERE name = 'backup' RETURNING 1")
    shown = logged_in(api, "read", "admin").get("/providers").text
    assert "backup email down since" in shown
    assert "421 busy" in shown
    assert f"{SERVER} email works 1" in shown
    assert "20 14.5 any 1 4 75.0 %" in shown


def test_a_provider_is_disabled_after_a_confirmation_and_enabled(api: Api) -> None:
    admin = logged_in(api, "read", "admin")
    place = "/providers/%5B2001:db8::1%5D:587"
    assert "goes through the others: backup" in admin.get(place).text
    assert f"{SERVER} email disabled" in told(admin, admin.submit(place, {"enabled": "false"}))
    assert stored(api, SERVER) == (False, None)
    assert "no mail is sent" in admin.get("/providers/backup").text
    assert f"{SERVER} email works" in told(admin, admin.submit("/providers", {"enabled": "true"}, to=place))
    acts = api.sql.rows("SELECT act, detail FROM audit WHERE target = %s ORDER BY id", SERVER)
    assert acts == [
        ("provider.changed", {"enabled": False, "weight": None}),
        ("provider.changed", {"enabled": True, "weight": None}),
    ]


def test_a_weight_is_set_and_an_empty_one_restores_that_of_the_url(api: Api) -> None:
    admin = logged_in(api, "read", "admin")
    assert "The weight is set" in told(admin, admin.submit("/providers", {"weight": " 9 "}, to="/providers/backup"))
    assert stored(api, "backup") == (True, 9)
    admin.submit("/providers", {"weight": ""}, to="/providers/backup")
    assert stored(api, "backup") == (True, None)


@pytest.mark.parametrize("weight", ["0", "1001", "many", "-1", "1.5", "9" * 400, "²"])
def test_an_invalid_weight_is_shown_with_its_fault(api: Api, weight: str) -> None:
    admin = logged_in(api, "read", "admin")
    page = admin.submit("/providers", {"weight": weight}, to="/providers/backup")
    assert page.status == 422
    assert f'value="{weight}"' in page.html
    assert "Weight" in page.text
    assert stored(api, "backup") == (True, None)


@pytest.mark.parametrize("fields", [{}, {"enabled": "maybe"}])
def test_an_empty_form_changes_nothing(api: Api, fields: dict[str, str]) -> None:
    assert logged_in(api, "read", "admin").submit("/providers", fields, to="/providers/backup").status == 422
    assert stored(api, "backup") == (True, None)


def test_an_unknown_provider_is_a_404(api: Api) -> None:
    admin = logged_in(api, "read", "admin")
    assert admin.get("/providers/nobody").status == 404
    assert admin.submit("/providers", {"enabled": "false"}, to="/providers/nobody").status == 404


def test_a_key_without_the_scope_cannot_change_providers(api: Api) -> None:
    tester = logged_in(api, "read", "admin", sandbox=True)
    assert "Disable" not in tester.get("/providers").text
    for person in (tester, logged_in(api, "read", "manage")):
        assert person.submit("/", {"enabled": "false"}, to="/providers/backup").status == 403
    assert stored(api, "backup") == (True, None)


def test_the_banner_links_to_the_page_of_providers_for_admins(api: Api) -> None:
    api.sql.rows(f"{DOWN} WHERE name = 'backup' RETURNING 1")
    admin, reader = logged_in(api, "read", "admin"), logged_in(api, "read")
    eventually(lambda: "backup is down" in admin.get("/failures").text)
    eventually(lambda: "backup is down" in reader.get("/failures").text)
    assert 'href="/providers">See the providers' in admin.get("/failures").html
    assert 'href="/#providers">See the providers' in reader.get("/failures").html
    assert 'href="/providers"' not in reader.get("/failures").html
