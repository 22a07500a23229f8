"""Callback endpoints and their deliveries, as pages: an action does the same as the API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cli.servers.valkey import Valkey
from tests.dashboard import Page, Person, logged_in
from tests.furnishing import delivery, endpoint, status
from tests.integration.api import Api, running
from tests.keys import client


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url, auth="required", login_rate=10_000) as api:
        yield api


@pytest.fixture
def person(api: Api) -> Person:
    return logged_in(api, "read", "manage")


@pytest.fixture
def place(api: Api) -> str:
    """The page of an endpoint."""
    return f"/callbacks/{endpoint(api.sql, 'Orders of a shop')}"


def id_of(place: str) -> int:
    return int(place.rpartition("/")[2])


def told(person: Person, answer: Page) -> str:
    """Return the text of the page to which an act redirects."""
    assert answer.status == 303, answer.text
    return person.get(answer.headers["location"]).text


def test_the_list_says_which_endpoint_fails(api: Api, person: Person, place: str) -> None:
    assert "enabled" in person.get(place).text
    delivery(api.sql, id_of(place), "503 in maintenance")
    row = next(row for row in person.get("/callbacks").html.split("<tr") if f'{place}"' in row)
    assert "Orders of a shop" in row
    assert "failing" in row


def test_a_delivery_shows_the_answers_and_the_body(api: Api, person: Person, place: str) -> None:
    id = delivery(api.sql, id_of(place), "503 in maintenance")
    shown = person.get(f"{place}/deliveries/{id}").text
    assert f"msg_{id}" in shown
    assert "exhausted : 503 in maintenance" in shown
    assert "deferred 500 answer 503 in maintenance 40 ms" in shown


def test_deliveries_are_filtered_and_paged(api: Api, person: Person, place: str) -> None:
    ids = [delivery(api.sql, id_of(place)) for _ in range(3)]
    page = person.get(f"{place}?status=failed&limit=2")
    assert f"{place}/deliveries/{ids[2]}" in page.html
    assert f"{place}/deliveries/{ids[0]}" not in page.html
    assert "Next page" in page.text
    assert "There are no such deliveries." in person.get(f"{place}?status=sent").text
    assert person.get(f"{place}?status=x").status == 400


def test_one_failed_delivery_is_retried(api: Api, person: Person, place: str) -> None:
    id = delivery(api.sql, id_of(place))
    page = f"{place}/deliveries/{id}"
    assert "The callback is pending again" in told(person, person.submit(page, to=f"{page}/retry"))
    assert status(api.sql, id) == "pending"
    assert person.submit(page, to=f"{page}/retry").status == 409


def test_all_failed_deliveries_are_retried_after_a_confirmation(api: Api, person: Person, place: str) -> None:
    ids = [delivery(api.sql, id_of(place)) for _ in range(3)]
    assert "Retry all failed callbacks?" in person.get(f"{place}/retry").text
    assert "pending again: 3." in told(person, person.submit(f"{place}/retry"))
    assert [status(api.sql, id) for id in ids] == ["pending"] * 3
    audited = "SELECT detail ->> 'count' FROM audit WHERE act = 'callbacks.retried' AND target = %s"
    assert api.sql.rows(audited, f"callback {id_of(place)}") == [("3",)]


def test_an_endpoint_is_disabled_and_enabled_after_a_confirmation(api: Api, person: Person, place: str) -> None:
    assert "Disable this endpoint?" in person.get(f"{place}/disabled").text
    assert "is disabled." in told(person, person.submit(f"{place}/disabled", {"disabled": "true"}))
    assert "by request" in person.get(place).text
    assert person.submit("/callbacks", to=f"{place}/test").status == 409
    assert "Enable this endpoint?" in person.get(f"{place}/disabled").text
    assert "is enabled." in told(person, person.submit(f"{place}/disabled", {"disabled": "false"}))
    audited = "SELECT count(*) FROM audit WHERE act = 'callback.changed' AND target = %s"
    assert api.sql.rows(audited, f"callback {id_of(place)}") == [(2,)]


def test_a_test_redirects_to_its_delivery(person: Person, place: str) -> None:
    answer = person.submit(place, to=f"{place}/test")
    shown = told(person, answer)
    assert "A test is on its way." in shown
    assert "callback.test" in shown
    assert f'"endpointId" : {id_of(place)}' in shown
    assert "callback.test" in person.get(place).text


def test_neither_a_test_key_nor_another_client_can_change_an_endpoint(api: Api, place: str) -> None:
    id = delivery(api.sql, id_of(place))
    acts = (f"{place}/test", f"{place}/retry", f"{place}/disabled", f"{place}/deliveries/{id}/retry")
    tester = logged_in(api, "read", "manage", sandbox=True)
    stranger = logged_in(api, "read", "manage", of=client(api.sql, "stranger"))
    for path in acts:
        assert tester.submit("/", {"disabled": "true"}, to=path).status == 403
        assert stranger.submit("/", {"disabled": "true"}, to=path).status == 404
    assert stranger.get(place).status == stranger.get(f"{place}/deliveries/{id}").status == 404
    assert status(api.sql, id) == "failed"
    assert api.sql.rows("SELECT disabled_at FROM callbacks WHERE id = %s", id_of(place)) == [(None,)]
