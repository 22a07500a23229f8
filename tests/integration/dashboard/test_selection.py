"""Selected notifications of the list are retried or cancelled one by one."""

from __future__ import annotations

import pytest

from tests.dashboard import Page, Person, logged_in
from tests.furnishing import failed, pending, status
from tests.integration.api import Api
from tests.keys import client

SELECTED = "/notifications/selected"


@pytest.fixture
def person(api: Api, owner: int) -> Person:
    return logged_in(api, "read", "manage", of=owner)


def ask(person: Person, act: str, ids: list[int], **fields: str) -> Page:
    """Submit the selection; with `sure`, confirm it."""
    return person.submit("/", {"act": act, "id": ids, **fields}, to=SELECTED)


def statuses(api: Api, ids: list[int]) -> list[str]:
    return [status(api.sql, id) for id in ids]


def with_event(api: Api, name: str, owner: int) -> list[int]:
    """Return the ids of the owner's notifications that have an event of this name, made with a key."""
    events = "SELECT notification_id FROM events JOIN notifications AS n ON n.id = notification_id"
    chosen = f"{events} WHERE name = %s AND detail ? 'keyId' AND client_id = %s ORDER BY 1"
    return [id for (id,) in api.sql.rows(chosen, name, owner)]


def test_selected_failures_are_retried_after_a_confirmation_each_with_its_event(
    api: Api, owner: int, person: Person
) -> None:
    mine = [failed(api.sql, of=owner) for _ in range(3)]
    waits = pending(api.sql, of=owner)
    asked = ask(person, "retry", [*mine, waits, mine[0]])
    assert "Retry 3 notifications?" in asked.text
    assert "3 failed as rejected" in asked.text
    assert "harm the reputation of the sender" in asked.text
    assert "1 of the selected is skipped" in asked.text
    assert statuses(api, mine) == ["failed"] * 3

    answer = ask(person, "retry", [*mine, waits], sure="true", query="status=failed&tag=a b")
    assert answer.headers["location"] == "/notifications?status=failed&tag=a+b"
    assert "pending again: 3. Skipped: 1." in person.get(answer.headers["location"]).text
    assert statuses(api, mine) == ["pending"] * 3
    assert with_event(api, "retried", owner) == mine


def test_selected_pending_notifications_are_cancelled_after_a_confirmation_each_with_its_event(
    api: Api, owner: int, person: Person
) -> None:
    mine = [pending(api.sql, of=owner) for _ in range(2)]
    gone = failed(api.sql, of=owner)
    asked = ask(person, "cancel", [*mine, gone])
    assert "Cancel 2 notifications?" in asked.text
    assert "cannot be undone" in asked.text
    assert "reputation" not in asked.text
    answer = ask(person, "cancel", [*mine, gone], sure="true")
    assert answer.headers["location"] == "/notifications"
    assert "cancelled: 2. Skipped: 1." in person.get("/notifications").text
    assert statuses(api, [*mine, gone]) == ["cancelled", "cancelled", "failed"]
    assert with_event(api, "cancelled", owner) == mine


@pytest.mark.parametrize(
    ("reason", "words"),
    [("suppressed", "on the suppression list"), ("outcome-unknown", "may get it twice"), ("exhausted", None)],
)
def test_reasons_that_are_risky_to_retry_show_a_warning(
    api: Api, owner: int, person: Person, reason: str, words: str | None
) -> None:
    id = failed(api.sql, of=owner)
    api.sql.rows("UPDATE notifications SET failure_reason = %s WHERE id = %s RETURNING 1", reason, id)
    asked = ask(person, "retry", [id])
    assert f"1 failed as {reason}" in asked.text
    assert words in asked.text if words else 'class="error' not in asked.html


def test_expired_and_erased_notifications_of_a_selection_are_skipped(api: Api, owner: int, person: Person) -> None:
    late, erased = failed(api.sql, of=owner), failed(api.sql, of=owner)
    api.sql.rows("UPDATE notifications SET expires_at = now() WHERE id = %s RETURNING 1", late)
    api.sql.rows("UPDATE notifications SET erased_at = now() WHERE id = %s RETURNING 1", erased)
    asked = ask(person, "retry", [late, erased])
    assert asked.status == 409
    assert "Nothing to retry None of the selected notifications can be retried" in asked.text
    assert ask(person, "retry", [late], sure="true").status == 303
    assert status(api.sql, late) == "failed"


def test_a_selection_never_changes_notifications_of_other_clients(api: Api, owner: int, person: Person) -> None:
    foreign = failed(api.sql, of=client(api.sql, "foreign"))
    live, test = pending(api.sql, of=owner), pending(api.sql, of=owner, sandbox=True)
    assert ask(person, "retry", [foreign]).status == 409
    assert ask(person, "retry", [foreign], sure="true").status == 303
    tester = logged_in(api, "read", "manage", of=owner, sandbox=True)
    assert f'aria-label="Select notification {live}"' not in tester.get("/notifications").html
    assert ask(tester, "cancel", [live, test], sure="true").status == 303
    assert statuses(api, [foreign, live, test]) == ["failed", "pending", "cancelled"]


def test_a_key_without_the_scope_manage_cannot_select(api: Api, owner: int) -> None:
    id = pending(api.sql, of=owner)
    reader = logged_in(api, "read", "send", of=owner)
    assert 'type="checkbox"' not in reader.get("/notifications").html
    assert ask(reader, "cancel", [id], sure="true").status == 403
    assert status(api.sql, id) == "pending"


@pytest.mark.parametrize(
    ("act", "ids", "expected"),
    [
        ("retry", [], 400),
        ("retry", list(range(1, 102)), 400),
        ("resend", [1], 400),
        ("cancel", [2**63], 404),
        ("cancel", ["x"], 404),
    ],
)
def test_an_invalid_selection_is_refused(person: Person, act: str, ids: list[int], expected: int) -> None:
    assert ask(person, act, ids).status == expected
    assert ask(person, act, ids, sure="true").status == expected


@pytest.mark.parametrize("query", ["//evil.example", "a=1\r\nSet-Cookie: x=y", "a=" + "b" * 5000, "&&&", "%ff=%00"])
def test_a_forged_query_redirects_to_the_list_only(api: Api, owner: int, person: Person, query: str) -> None:
    answer = ask(person, "cancel", [pending(api.sql, of=owner)], sure="true", query=query)
    assert answer.status == 303
    assert answer.headers["location"].split("?")[0] == "/notifications"
    assert "x=y" not in answer.headers.get("set-cookie", "")
