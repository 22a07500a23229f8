"""Every page of the list begins at its place in an index, however many rows there are.

Where fewer rows than a page are left, PostgreSQL may well sort them; so here there are more.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from db import database, reports
from db.reports import Position
from tests.environment import configured
from tests.servers import Databases

COUNT = 20_000
# One in seven is pending and one failed, all others are sent; a thousand rows a recipient; ten at the same time.
CROWD = """
INSERT INTO notifications (type, recipient, subject, message, status, created_at,
                           finished_at, failure_reason, next_attempt_at, dispatch_after)
SELECT 'email', 'user' || n %% 20 || '@example.com', 'Hi', 'Hello', status,
       timestamptz '2024-01-01 00:00Z' + n / 10 * interval '1 minute',
       CASE WHEN status <> 'pending' THEN now() END, CASE WHEN status = 'failed' THEN 'exhausted' END,
       CASE WHEN status = 'pending' THEN now() END, CASE WHEN status = 'pending' THEN now() END
FROM (SELECT n, CASE n %% 7 WHEN 1 THEN 'pending' WHEN 2 THEN 'failed' ELSE 'sent' END AS status
      FROM generate_series(1, %s) AS n) AS r
"""
Query = tuple[str, list[Any]]
EARLY, LATE = datetime(2024, 1, 1, 6, tzinfo=UTC), datetime(2024, 1, 2, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def crowd(databases: Databases) -> Iterator[None]:
    with databases.new() as url, configured(database_url=url) as settings:
        database.bind(settings)
        with database.connection():
            database.rows(CROWD, COUNT)
            database.rows("ANALYZE notifications")
            yield
        database.database.close()


@pytest.mark.parametrize("after", [None, Position(LATE, 10**6), Position(EARLY, 10**6)], ids=["first", "next", "last"])
@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"type": "email"},
        *({"status": status} for status in ("pending", "sent", "failed")),
        {"recipient": "user7@example.com"},
        {"recipient": "nobody@example.com"},
        {"recipient": "user7@example.com", "status": "sent"},
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
    with caplog.at_level(logging.DEBUG, logger="peewee"):
        reports.newest(1, filters, after, 51)
    [(sql, parameters)] = [cast(Query, record.msg) for record in caplog.records if "LIMIT" in str(record.msg)]

    plan = "\n".join(line for (line,) in database.rows(f"EXPLAIN {sql}", *parameters))

    assert "Index Scan" in plan, plan
    assert "Sort" not in plan, plan
    assert "Seq Scan" not in plan, plan
