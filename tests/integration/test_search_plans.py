"""No statement of a search reads a whole table, or a whole partition, however many rows there are."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from api.dashboard.search import parse
from db import database, search, waiting
from db.reports import Position
from tests.embedded import Databases
from tests.integration.test_api_plans import crowd

__all__ = ["crowd"]

LATE = Position(datetime(2024, 1, 2, 6, tzinfo=UTC), 10**6)
NEEDED = {"@example.com": "_domain", "user7@example.com": "_recipient", "user": "_recipient", "order=4200": "_metadata"}
NEEDED |= {"user99@example.com": "_recipient", "tag:tag500": "_tags", "tag500": "_tags", "tag:common": "_tags"}
NEEDED |= {"rejected": "_reason", "template:x": "_template", "part:Hi Hello": "_newest"}
NEEDED |= {"nothing": "subject_words_pkey", "Hi Hello": "subject_words_pkey"}


@pytest.mark.usefixtures("crowd")
@pytest.mark.parametrize("after", [None, LATE], ids=["first", "next"])
@pytest.mark.parametrize("typed", NEEDED)
def test_a_search_is_read_from_indexes(caplog: pytest.LogCaptureFixture, typed: str, after: Position | None) -> None:
    with caplog.at_level(logging.DEBUG, logger="peewee"):
        search.page(1, search.understood(1, parse(typed)), {}, after, 50)
    plans = [plan for record in list(caplog.records) for plan in explained(cast(tuple[str, Any], record.msg))]
    assert plans
    for plan in plans:
        assert "Seq Scan" not in plan, plan
    assert re.search(NEEDED[typed], "\n".join(plans)), plans


@pytest.mark.usefixtures("crowd")
def test_the_reasons_why_a_notification_waits_are_read_from_indexes(caplog: pytest.LogCaptureFixture) -> None:
    [(id,)] = database.rows("SELECT max(id) FROM notifications WHERE status = 'pending'")
    with caplog.at_level(logging.DEBUG, logger="peewee"):
        assert [reason.kind for reason in waiting.reasons(id, 1, 30.0, "")] == ["no-worker", "queued"]
    plans = [plan for record in list(caplog.records) for plan in explained(cast(tuple[str, Any], record.msg))]
    assert any("notifications" in plan for plan in plans)
    for plan in plans:
        assert "Seq Scan on notifications" not in plan, plan


def explained(statement: tuple[str, Any]) -> Iterator[str]:
    """Return the plan of a logged statement, with the settings that go before it in the same message."""
    sql, parameters = statement
    settings = re.match(r"(?:\s*SET LOCAL [^;]+;)*\s*", sql)
    assert settings
    before, query = settings[0], sql[settings.end() :]
    if query.startswith(("SELECT", "WITH")):
        yield "\n".join(line for (line,) in database.rows(f"{before} EXPLAIN {query}", *(parameters or ())))


def test_a_search_finds_the_same_in_every_partition(crowd: None, databases: Databases) -> None:
    found = search.page(1, search.understood(1, parse("user7@example.com")), {}, None, 2_000)
    assert len(found.rows) == 1_000
    assert len(search.page(1, search.understood(1, parse("@EXAMPLE.com")), {"status": "sent"}, None, 200).rows) == 200
