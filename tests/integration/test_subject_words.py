"""Words of subjects are found through filters of spans of ids, and without them where there are none yet."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest

from api.dashboard.search import parse
from db import erasures, retention, search, subjects
from db.audit import By
from db.database import database, rows
from db.policy import Bounds, Policy
from db.reports import Position
from db.session import SCHEMA
from db.subjects import find
from db.subjects.keep import LOCK, SPAN
from tests.integration.rows import CLIENT
from tests.integration.test_upkeep import upkeep

pytestmark = pytest.mark.usefixtures("store")

ADD = """
INSERT INTO notifications (id, type, recipient, subject, message, client_id, status, finished_at, next_attempt_at,
                           dispatch_after, created_at)
SELECT id, 'email', 'a@example.com', format(%s, id), 'Hello', %s, 'sent', now(), NULL, NULL,
       timestamptz '2024-01-01 00:00Z' + id * interval '1 minute'
FROM (SELECT nextval('notifications_id_seq') AS id FROM generate_series(1, %s)) AS n RETURNING id
"""


def added(count: int, subject: str = "Your order %s", client: int = CLIENT) -> list[int]:
    """Add sent notifications; %s in the subject becomes the id."""
    return sorted(id for (id,) in rows(ADD, subject, client, count))


def settled() -> None:
    """Let the time pass after which an id that was drawn is used or never will be."""
    rows("UPDATE subject_progress SET drawn_at = '-infinity'")


def keep() -> None:
    """Make all filters that can be made."""
    for _ in range(2):
        settled()
        while subjects.keep():
            pass


def kept() -> list[int]:
    return [span for (span,) in rows("SELECT span FROM subject_words WHERE words IS NOT NULL ORDER BY span")]


def found(typed: str, client: int = CLIENT, limit: int = 50, **filters: Any) -> list[int]:
    """Return the ids on all pages of a search."""
    understood, ids, after = search.understood(client, parse(f"subject:{typed}")), [], None
    while True:
        page = search.page(client, understood, filters, after, limit)
        ids += [row["id"] for row in page.rows]
        if page.after is None:
            return ids
        assert after is None or page.after.id < after.id
        after = page.after


@contextmanager
def reads(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Collect the statements that read a span."""
    statements: list[str] = []
    with caplog.at_level(logging.DEBUG, logger="peewee"):
        caplog.clear()
        yield statements
    statements += [str(record.msg) for record in caplog.records if "SELECT id, subject FROM" in str(record.msg)]


def test_words_are_found_before_and_after_their_filters_are_made() -> None:
    old, [needle], new = added(2_500), added(1, "A Needle %s"), added(1_200)
    for _ in range(2):
        assert found("needle a") == [needle]
        assert found("order your") == [*new[::-1], *old[::-1]]
        assert found(f"order {old[7]}") == [old[7]]
        assert found("needle order") == []
        keep()
    assert kept() == [0, 1, 2]
    later = added(700)
    assert found("your") == [*later[::-1], *new[::-1], *old[::-1]]


def test_filters_are_made_for_the_newest_span_first_and_then_for_older_ones() -> None:
    added(3_100)
    settled()
    subjects.keep()
    settled()
    made = []
    while subjects.keep():
        made.append(kept())
    assert made == [[2], [1, 2], [0, 1, 2]]
    added(2_000)
    keep()
    assert kept() == [0, 1, 2, 3, 4]


def test_only_spans_that_may_have_a_match_are_read(caplog: pytest.LogCaptureFixture) -> None:
    ids = added(5_500)
    keep()
    with reads(caplog) as statements:
        assert found(f"your {ids[2_200]}") == [ids[2_200]]
    assert len(statements) == 2  # the newest span has no filter yet
    with reads(caplog) as statements:
        assert found("nowhere") == []
    assert len(statements) == 1


def test_the_words_of_other_clients_cost_nothing(caplog: pytest.LogCaptureFixture) -> None:
    added(4_000, "Invoice", client=CLIENT + 1)
    [mine] = added(1, "Invoice")
    added(2_000, "Invoice", client=CLIENT + 1)
    keep()
    with reads(caplog) as statements:
        assert found("invoice") == [mine]
    assert len(statements) == 2


def test_a_page_reads_a_bounded_number_of_spans(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "SPANS_READ", 2)
    monkeypatch.setattr(find, "FILTERS_READ", 3)
    [first], [second] = added(1, "needle"), added(1, "A needle")
    added(6_000)
    [third] = added(1, "needle")
    for _ in range(2):
        with reads(caplog) as statements:
            page = search.page(CLIENT, search.understood(CLIENT, parse("subject:needle")), {}, None, 50)
        assert len(statements) <= 2
        assert page.after is not None
        assert [row["id"] for row in page.rows] == [third]
        assert found("needle") == [third, second, first]
        assert found("needle", limit=1) == [third, second, first]
        keep()


def test_the_filters_of_the_list_apply_too() -> None:
    ids = added(3_000)
    rows("UPDATE notifications SET mailboxes = '[\"b@example.com\"]', recipient = 'B@example.com', sandbox = true,"
         " tags = '[\"x\"]' WHERE id = ANY(%s)", ids[5:8])  # fmt: skip
    keep()
    for filters in ({"recipient": "b@example.com"}, {"sandbox": True, "type": "email"}, {"tags": ["x"]}):
        assert found("order", **filters) == ids[7:4:-1]
    assert found("order", sandbox=True, delivery_status="unconfirmed", status="sent") == ids[7:4:-1]
    assert found("order", status="failed") == []


def test_a_range_of_time_is_searched_at_its_place(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "SLACK", SPAN)
    ids = added(8_000)
    [(early, late)] = rows(
        "SELECT min(created_at), max(created_at) FROM notifications WHERE id BETWEEN %s AND %s",
        ids[3_100],
        ids[3_199],
    )
    keep()
    with reads(caplog) as statements:
        assert found("order", created_from=early, created_to=late) == ids[3_198:3_099:-1]
    assert len(statements) <= 4
    assert (
        found("order", created_from=late.replace(year=2030)) == found("order", created_to=late.replace(year=2000)) == []
    )


def test_a_notification_that_is_committed_late_is_not_left_out() -> None:
    added(1_500)
    keep()
    with database.another() as late, late.cursor() as cursor:
        late.autocommit = False
        cursor.execute(ADD, ("A needle", CLIENT, 1))
        [(needle,)] = cursor.fetchall()
        added(1_500)
        keep()
        assert kept() == [0]
        late.commit()
    keep()
    assert kept() == [0, 1, 2]
    assert found("needle") == [needle]


def test_an_id_that_was_just_drawn_is_waited_for() -> None:
    added(1_500)
    assert not subjects.keep()  # notes the last id
    added(1_500)
    assert not subjects.keep()
    assert kept() == []


def test_the_filters_of_a_dump_are_continued_on_a_new_server() -> None:
    added(1_500)
    rows("UPDATE subject_progress SET drawn_xid = '9000000000', drawn_id = 1000")
    keep()
    assert kept() == [0]


def test_one_process_at_a_time_makes_filters() -> None:
    added(2_500)
    settled()
    subjects.keep()
    settled()
    with database.another() as other, other.cursor() as cursor:
        other.autocommit = False
        cursor.execute(f"SELECT pg_advisory_xact_lock({LOCK}, {SCHEMA})")
        assert not subjects.keep()
        assert kept() == []
    assert subjects.keep()


def test_an_erased_subject_leaves_no_trace_in_the_filters() -> None:
    ids = added(2_500)
    rows("UPDATE notifications SET recipient = 'ann@example.com' WHERE id = %s", ids[1_500])
    keep()
    before = dict(rows("SELECT span, words FROM subject_words"))
    erasure = erasures.begin(CLIENT, "ann@example.com", By("cli", name="somebody"))
    while erasures.step(erasure, 100, By("cli", name="somebody")):
        pass
    assert kept() == [0]
    assert found(f"order {ids[1_600]}") == [ids[1_600]]
    keep()
    after = dict(rows("SELECT span, words FROM subject_words"))
    assert bytes(after[0]) == bytes(before[0])
    assert bytes(after[1]) != bytes(before[1])
    assert found(str(ids[1_500])) == []


def test_filters_go_with_the_notifications_that_retention_deletes() -> None:
    ids = added(3_500)
    keep()
    rows("UPDATE notifications SET finished_at = now() - interval '1 day' WHERE id < %s", ids[2_200])
    for _ in retention.sweep(Policy(sent=60.0), Bounds()):
        pass
    keep()
    assert kept() == [2]
    assert found("order") == ids[:2_199:-1]


def test_callbacks_are_never_found() -> None:
    added(1_500)
    rows(
        "UPDATE notifications SET subject = 'notification.sent', type = 'callback', lane = 'callback', subject_id = 1,"
        " callback_id = 1 WHERE mod(id, 2) = 0"
    )
    for _ in range(2):
        assert found("notification sent") == []
        assert len(found("order")) == 750
        keep()


def test_many_words_and_hostile_ones_are_compared() -> None:
    [id] = added(1, " ".join(f"w{n}" for n in range(60)) + " %s '; DROP")
    added(1_500)
    keep()
    assert found(" ".join(f"w{n}" for n in range(60))) == [id]
    assert found("w1 w2 w3 w99") == []
    assert found("drop") == [id]
    assert found("'; DROP TABLE") == []


@pytest.mark.usefixtures("redis_url")
def test_a_round_of_upkeep_makes_filters() -> None:
    added(1_500)
    for _ in range(2):
        settled()
        upkeep(uuid4()).tick()
    assert kept() == [0]


def test_a_page_says_from_where_the_next_one_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "SPANS_READ", 2)
    added(5_500)
    page = search.page(CLIENT, search.understood(CLIENT, parse("subject:nothing")), {}, None, 50)
    [(at,)] = rows("SELECT created_at FROM notifications WHERE id = %s", 4 * SPAN)
    assert page.after == Position(at, 4 * SPAN)
