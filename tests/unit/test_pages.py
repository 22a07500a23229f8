"""The query of the list, and cursors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.pagination import cursor, parse
from api.http.problems import Problem
from db.reports import Position

offsets = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=offsets)  # noqa: DTZ001 - a bound
names = st.sampled_from(["status", "type", "recipient", "createdFrom", "createdTo", "limit", "cursor"])


@given(created_at=instants, id=st.integers(1, 2**63 - 1))
def test_a_cursor_decodes_to_its_row(created_at: datetime, id: int) -> None:
    there = cursor({"created_at": created_at, "id": id})

    assert parse({"cursor": there}).after == Position(created_at, id)


def test_a_cursor_needs_no_escaping_in_a_url() -> None:
    there = cursor({"created_at": datetime(2024, 1, 1, tzinfo=UTC), "id": 5})

    assert there.replace("-", "").replace("_", "").isalnum()


@given(instant=instants)
def test_any_instant_is_accepted_as_a_filter(instant: datetime) -> None:
    filters = parse({"createdFrom": instant.isoformat(), "createdTo": instant.isoformat()}).filters

    assert filters == {"created_from": instant, "created_to": instant}
    assert filters["created_from"].tzinfo is UTC


@given(parameters=st.dictionaries(names | st.text(), st.text() | st.lists(st.text(), min_size=2)))
def test_any_query_is_parsed_or_refused(parameters: dict[str, Any]) -> None:
    try:
        query = parse(parameters)
    except Problem as problem:
        faults = {fault["parameter"] for fault in problem.errors}
    else:
        faults = set()
        assert len(query.filters) + (query.after is not None) + ("limit" in parameters) == len(parameters)

    assert faults <= {name[:100] for name in parameters}


def test_an_empty_query_has_no_filters_and_the_default_limit() -> None:
    assert parse({}) == ({}, None, 50)


@pytest.mark.parametrize("limit", [1, 199, 200])
def test_a_limit_within_bounds_is_taken(limit: int) -> None:
    assert parse({"limit": str(limit)}).limit == limit


@pytest.mark.parametrize("limit", [0, 201, 10**19])
def test_a_limit_out_of_bounds_is_refused(limit: int) -> None:
    with pytest.raises(Problem):
        parse({"limit": str(limit)})


def test_every_fault_is_listed() -> None:
    with pytest.raises(Problem) as refused:
        parse({"status": "x", "type": ["email", "email"], "recipient": "", "limit": "x", "nope": "1"})

    assert [fault["parameter"] for fault in refused.value.errors] == ["status", "type", "recipient", "limit", "nope"]
