"""Prepared statements: they return the same rows after every loss of a prepared statement."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from psycopg2.errors import InvalidSqlStatementName

from db import prepared
from db.database import Unacceptable, connection, database, rows
from db.prepared import MOST

pytestmark = pytest.mark.usefixtures("store")

SQL = "SELECT %s::text, %s::bigint[], %s::jsonb"
VALUES = ("it's %s", [1, 2], '{"a": 1}')
ANSWER = [("it's %s", [1, 2], {"a": 1})]


@pytest.fixture(autouse=True)
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A connection of its own, and plans that last."""
    database.close()
    monkeypatch.setattr(prepared._Plans, "works", True)
    with connection():
        yield
    database.close()


def planned() -> int:
    return int(rows("SELECT count(*) FROM pg_prepared_statements")[0][0])


def test_a_repeated_statement_is_prepared_and_returns_the_same_rows() -> None:
    assert prepared.prepared("test", SQL, *VALUES) == ANSWER
    assert planned() == 0
    assert [prepared.prepared("test", SQL, *VALUES) for _ in range(3)] == [ANSWER] * 3
    assert planned() == 1


def test_an_array_of_texts_is_cast_as_the_statement_says() -> None:
    for _ in range(3):
        sql = "SELECT unnest(%s::jsonb[]), unnest(%s::timestamptz[]) IS NULL"
        assert prepared.prepared("test", sql, ['{"a": 1}'], [None]) == [({"a": 1}, True)]


def test_every_type_of_value_is_returned_unchanged() -> None:
    arrays = {
        "text": ['"', "\\", "{}", ",", "", "null", "NULL", None, " a ", "é\n\t'"],
        "bigint": [1, -(2**63), None],
        "float8": [1.5, -0.25, None],
        "boolean": [True, False, None],
        "bytea": [b"", b"\0\xff\\'\"", None],
    }
    for type, values in arrays.items():
        for _ in range(3):
            [(found,)] = prepared.prepared(type, f"SELECT %s::{type}[]", values)
            assert [bytes(one) if isinstance(one, memoryview) else one for one in found] == values
    assert planned() == len(arrays)


def test_the_number_of_prepared_statements_is_bounded() -> None:
    for number in range(MOST + 5):
        for _ in range(2):
            assert prepared.prepared("test", f"SELECT %s::text, {number}", "a") == [("a", number)]

    assert planned() == MOST


def test_statements_are_planned_each_time_after_a_pooler_lost_prepared_ones() -> None:
    for _ in range(2):
        prepared.prepared("test", SQL, *VALUES)
    rows("DEALLOCATE ALL")  # As if the next statement reached another session.

    assert prepared.prepared("test", SQL, *VALUES) == ANSWER
    assert [prepared.prepared("test", SQL, *VALUES) for _ in range(3)] == [ANSWER] * 3
    assert planned() == 0


def test_statements_in_a_transaction_are_not_prepared() -> None:
    with database.atomic():
        assert [prepared.prepared("test", SQL, *VALUES) for _ in range(3)] == [ANSWER] * 3
        assert planned() == 0


def test_a_new_connection_has_no_prepared_statements() -> None:
    for _ in range(2):
        prepared.prepared("test", SQL, *VALUES)
    database.close()
    database.connect()

    assert [prepared.prepared("test", SQL, *VALUES) for _ in range(3)] == [ANSWER] * 3
    assert planned() == 1


def test_a_refused_value_raises_the_same_error_as_without_preparing() -> None:
    for _ in range(2):
        prepared.prepared("test", "SELECT %s::text::bigint", "1")

    with pytest.raises(Unacceptable), connection():
        prepared.prepared("test", "SELECT %s::text::bigint", "one")
    assert prepared.prepared("test", "SELECT %s::text::bigint", "1") == [(1,)]


def test_executing_an_unknown_statement_raises_the_error_that_a_pooler_gives() -> None:
    with pytest.raises(InvalidSqlStatementName):
        database.connection().cursor().execute("EXECUTE unheard_of")
