"""Links from figures to lists, filters by time and sandbox, paging, and warnings before a retry."""

from __future__ import annotations

import re
from html import unescape

import pytest

from tests.dashboard import Page, Person, logged_in
from tests.furnishing import failed, pending
from tests.integration.api import Api


def ids(page: Page) -> list[int]:
    return [int(id) for id in re.findall(r'class="strong" href="/notifications/(\d+)"', page.html)]


def link(page: Page, pattern: str) -> str:
    found = re.search(pattern, page.html)
    return unescape(found[1]) if found else ""


def test_the_figures_of_the_overview_link_to_their_lists(api: Api, owner: int, person: Person) -> None:
    gone, waits = failed(api.sql, of=owner), pending(api.sql, of=owner)
    html = person.get("/").html
    for name, mine in (("Failed", [gone]), ("Pending", [waits]), ("Accepted", [waits, gone]), ("normal", [waits])):
        path = unescape(re.findall(rf'<a href="([^"]+)">{name}</a>', html)[0])
        assert ids(person.get(path)) == mine, name


def test_a_group_of_failures_links_to_its_list(api: Api, owner: int, person: Person) -> None:
    mine = [failed(api.sql, of=owner) for _ in range(3)]
    old = failed(api.sql, of=owner, code=552)
    api.sql.rows("UPDATE notifications SET created_at = now() - interval '1 h' WHERE id = %s RETURNING 1", old)
    first = link(person.get("/failures"), r'"number strong"><a href="([^"]+)"')
    assert ids(person.get(first)) == mine[::-1]


def test_failures_are_filtered_by_time_and_sandbox(api: Api, owner: int, person: Person) -> None:
    old, test = failed(api.sql, of=owner, code=552), failed(api.sql, of=owner, code=553)
    failed(api.sql, of=owner)
    api.sql.rows("UPDATE notifications SET created_at = '2024-01-01 00:00Z' WHERE id = %s RETURNING 1", old)
    api.sql.rows("UPDATE notifications SET sandbox = true WHERE id = %s RETURNING 1", test)

    def codes(query: str) -> set[str]:
        return set(re.findall(r"<code>(55\d)</code>", person.get(f"/failures?{query}").html))

    assert codes("") == {"550", "552", "553"}
    assert codes("createdTo=2024-02-01T00:00") == {"552"}
    assert codes("createdFrom=2024-02-01T00:00&sandbox=false") == {"550"}
    assert codes("sandbox=true") == {"553"}
    assert "in these times" in person.get("/failures?createdTo=2000-01-01T00:00").text
    latest = link(person.get("/failures"), r'<a href="(/failures\?[^"]+)">Last hour</a>')
    assert codes(latest.partition("?")[2]) == {"550", "553"}


@pytest.mark.parametrize("query", ["createdFrom=x", "sandbox=maybe", "nothing=1", "sandbox=true&sandbox=true"])
def test_an_invalid_filter_of_failures_is_reported(person: Person, query: str) -> None:
    page = person.get(f"/failures?{query}")
    assert (page.status, f"<code>{query.partition('=')[0]}</code>" in page.html) == (400, True)


def test_a_retry_of_shown_failures_leaves_the_hidden_sandbox_alone(api: Api, owner: int, person: Person) -> None:
    live, test = failed(api.sql, of=owner), failed(api.sql, of=owner)
    api.sql.rows("UPDATE notifications SET sandbox = true WHERE id = %s RETURNING 1", test)
    asked = person.get(link(person.get("/failures?sandbox=false"), r'href="(/failures/retry\?[^"]+)"'))
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', asked.html))
    assert person.post("/failures/retry", fields).status == 303
    states = dict(api.sql.rows("SELECT id, status FROM notifications WHERE client_id = %s", owner))
    assert states == {live: "pending", test: "failed"}


def test_a_test_key_sees_only_sandbox_failures_with_any_filter(api: Api, owner: int) -> None:
    failed(api.sql, of=owner)
    tester = logged_in(api, of=owner, sandbox=True)
    assert "rejected" not in tester.get("/failures").text
    assert "rejected" not in tester.get("/failures?sandbox=false").text


@pytest.mark.parametrize(
    ("reason", "warning"),
    [
        ("rejected", "will most likely refuse again"),
        ("suppressed", "is on the suppression list"),
        ("outcome-unknown", "may get it twice"),
        ("exhausted", ""),
    ],
)
def test_a_risky_retry_shows_a_warning(api: Api, owner: int, person: Person, reason: str, warning: str) -> None:
    id = failed(api.sql, of=owner)
    api.sql.rows("UPDATE notifications SET failure_reason = %s WHERE id = %s RETURNING 1", reason, id)
    group = link(person.get("/failures"), r'href="(/failures/retry\?[^"]+)"')
    for path in (f"/notifications/{id}/retry", group):
        page = person.get(path)
        assert ('class="error gap"' in page.html) == bool(warning)
        assert warning in page.text


def test_pages_link_back_to_the_previous_page(api: Api, owner: int, person: Person) -> None:
    mine = [pending(api.sql, of=owner) for _ in range(7)][::-1]
    page, seen = person.get("/notifications?limit=2&status=pending"), []
    while onward := link(page, r'href="([^"]+)" rel="next"'):
        seen.append(ids(page))
        page = person.get(onward)
    assert [id for one in (*seen, ids(page)) for id in one] == mine
    back = []
    while earlier := link(page, r'href="([^"]+)" rel="prev"'):
        page = person.get(earlier)
        back.append(ids(page))
    assert back == seen[::-1]
