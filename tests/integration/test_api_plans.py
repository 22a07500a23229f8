"""Every page of the list begins at its place in an index, however many rows there are.

Where fewer rows than a page are left, PostgreSQL may well sort them; so here there are more.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from db import blocks, database, reports
from db.reports import Position
from tests.embedded import Databases
from tests.environment import configured

COUNT = 20_000
# One in ten is bulk and one in fifty high. One in a hundred has tags and metadata.
# One in seven is pending and one failed, all others are sent; a thousand rows a recipient; ten at the same time.
CROWD = """
INSERT INTO notifications (type, recipient, subject, message, status, created_at,
                           finished_at, failure_reason, next_attempt_at, dispatch_after, tags, metadata, lane)
SELECT 'email', 'user' || n %% 20 || '@example.com', 'Hi', 'Hello', status,
       timestamptz '2024-01-01 00:00Z' + n / 10 * interval '1 minute',
       CASE WHEN status <> 'pending' THEN now() END, CASE WHEN status = 'failed' THEN 'exhausted' END,
       CASE WHEN status = 'pending' THEN now() END, CASE WHEN status = 'pending' THEN now() END,
       CASE WHEN n %% 100 = 0 THEN jsonb_build_array('tag' || n %% 1000, 'common') END,
       CASE WHEN n %% 100 = 0 THEN jsonb_build_object('order', n::text) END,
       CASE WHEN n %% 10 = 3 THEN 'bulk' WHEN n %% 50 = 1 THEN 'high' ELSE 'normal' END
FROM (SELECT n, CASE n %% 7 WHEN 1 THEN 'pending' WHEN 2 THEN 'failed' ELSE 'sent' END AS status
      FROM generate_series(1, %s) AS n) AS r
"""
Query = tuple[str, list[Any]]
EARLY, LATE = datetime(2024, 1, 1, 6, tzinfo=UTC), datetime(2024, 1, 2, 6, tzinfo=UTC)


@pytest.fixture(scope="module", params=[1, 3], ids=["one block", "three blocks"])
def crowd(request: pytest.FixtureRequest, databases: Databases) -> Iterator[None]:
    with databases.new() as url, configured(database_url=url) as settings:
        database.bind(settings.database)
        with database.connection():
            size = COUNT // request.param
            for number in range(1, request.param):
                database.rows("SELECT setval('notifications_id_seq', %s)", int((number - 0.85) * size))
                assert blocks.grow(size, 1, 10)
            database.rows("SELECT setval('notifications_id_seq', 1)")
            database.rows(CROWD, COUNT)
            # As autovacuum does, which looks at blocks only.
            for block in blocks.listed():
                database.rows(f"ANALYZE {block.named('notifications')}")
            yield
        database.database.close()


def explained(caplog: pytest.LogCaptureFixture, filters: dict[str, Any], after: Position | None) -> str:
    """Return PostgreSQL's plan for this page of the list."""
    with caplog.at_level(logging.DEBUG, logger="peewee"):
        reports.newest(1, filters, after, 50)
    return plan(next(cast(Query, record.msg) for record in caplog.records if "LIMIT" in str(record.msg)))


def plan(query: Query) -> str:
    """Return PostgreSQL's plan for a statement that was logged."""
    sql, parameters = query
    before = database.IN_ORDER if sql.startswith(database.IN_ORDER) else ""
    found = database.rows(f"{before}EXPLAIN {sql.removeprefix(before)}", *parameters)
    return "\n".join(line for (line,) in found)


@pytest.mark.parametrize("after", [None, Position(LATE, 10**6), Position(EARLY, 10**6)], ids=["first", "next", "last"])
@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"type": "email"},
        *({"status": status} for status in ("pending", "sent", "failed")),
        {"recipient": "user7@example.com"},
        {"recipient": "nobody@example.com"},
        *({"priority": priority} for priority in ("high", "normal", "bulk")),
        {"created_from": EARLY},
        {"created_to": LATE},
        {"created_from": EARLY, "created_to": LATE, "status": "failed"},
    ],
    ids=str,
)
@pytest.mark.usefixtures("crowd")
def test_a_page_is_read_from_an_index(
    caplog: pytest.LogCaptureFixture, filters: dict[str, Any], after: Position | None
) -> None:
    plan = explained(caplog, filters, after)

    assert "Index Scan" in plan, plan
    assert "-> Sort" not in plan.replace("->  ", "-> "), plan  # A Merge Append has a Sort Key, and sorts nothing.
    assert "Seq Scan" not in plan, plan


@pytest.mark.parametrize(
    "filters", [{"priority": "bulk", "status": "sent"}, {"recipient": "user7@example.com", "status": "sent"}], ids=str
)
@pytest.mark.usefixtures("crowd")
def test_a_filter_without_an_index_is_applied_to_the_rows_of_an_indexed_one(
    caplog: pytest.LogCaptureFixture, filters: dict[str, Any]
) -> None:
    plan = explained(caplog, filters, None)

    assert re.search("_priority|_recipient|_lane_created", plan), plan
    assert "Seq Scan" not in plan, plan


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({"tags": ["tag500"]}, "_tags"),
        ({"tags": ["tag500", "common"], "status": "sent"}, "_tags"),
        ({"metadata": {"order": "4200"}}, "_metadata"),
        ({"priority": "high"}, "_priority|_lane_created"),
        ({"priority": "bulk", "created_to": LATE}, "_priority|_lane_created"),
        ({"metadata": {"order": "4200"}, "recipient": "user7@example.com"}, "_metadata"),
    ],
    ids=str,
)
@pytest.mark.usefixtures("crowd")
def test_a_rare_value_is_found_by_its_own_index(
    caplog: pytest.LogCaptureFixture, filters: dict[str, Any], index: str
) -> None:
    assert re.search(index, explained(caplog, filters, None))


@pytest.mark.usefixtures("crowd")
def test_both_forms_of_a_recipient_are_found_by_an_index(caplog: pytest.LogCaptureFixture) -> None:
    database.rows(
        "UPDATE notifications SET recipient = 'USER7@example.com', mailboxes = '[\"user7@example.com\"]'"
        " WHERE recipient = 'user7@example.com' AND id / 20 %% 10 = 0"
    )
    for block in blocks.listed():
        database.rows(f"ANALYZE {block.named('notifications')}")
    with caplog.at_level(logging.DEBUG, logger="peewee"):
        page = reports.newest(1, {"recipient": "user7@example.com"}, None, 50)

    plans = [plan(cast(Query, record.msg)) for record in caplog.records if "LIMIT" in str(record.msg)]
    assert {row["recipient"] for row in page.rows} == {"user7@example.com", "USER7@example.com"}
    assert ["_recipient" in plans[0], "_mailboxes" in plans[1]] == [True, True], plans
    assert "Seq Scan" not in "".join(plans), plans


@pytest.mark.usefixtures("crowd")
def test_indexes_on_tags_and_metadata_leave_out_rows_without_them() -> None:
    partial = database.rows(
        "SELECT count(*) FROM pg_index WHERE indexrelid::regclass::text = ANY(%s)"
        " AND pg_get_expr(indpred, indrelid) LIKE '%%IS NOT NULL%%'",
        ["notifications_tags", "notifications_metadata"],
    )

    assert partial == [(2,)]
