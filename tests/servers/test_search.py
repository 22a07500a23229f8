"""The dashboard's search finds the same whether the database sorts by bytes or by a language."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from db import search
from db.database import bind, connection, database, rows
from db.migrations import migrate
from db.search import Search
from tests.environment import configured
from tests.servers.stock_postgres import StockPostgres

LOCALES = {
    "bytes": "LOCALE 'C'",
    "code points": "LOCALE 'C.UTF-8'",
    "English": "LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8'",
    "Swedish, upper case first": "LOCALE_PROVIDER icu ICU_LOCALE 'sv-u-kf-upper-ka-shifted' LOCALE 'C.UTF-8'",
}
PEOPLE = ["anna", "Anne", "ANN", "an.n", "a-nn", "ann-a", "ann.b", "änn", "bob"]
INSERT = """
INSERT INTO notifications (type, recipient, subject, message, status, finished_at, next_attempt_at, dispatch_after)
SELECT 'email', name || '@' || %s, 'Hi', 'Hello', 'sent', now(), NULL, NULL FROM unnest(%s::text[]) AS name
"""


@pytest.fixture(scope="module", params=LOCALES)
def people(request: pytest.FixtureRequest, stock_postgres: StockPostgres) -> Iterator[None]:
    with stock_postgres.empty("UTF8", LOCALES[request.param]) as url, configured(database_url=url) as settings:
        bind(settings.database)
        migrate()
        with connection():
            rows(INSERT, "Example.com", PEOPLE)
            rows(INSERT, "other.example", [f"z{number}" for number in range(3_000)])
            rows("ANALYZE notifications_0")
            yield
        database.close()


def found(kind: str, value: str) -> list[str]:
    """Return the local parts of the recipients of a search, in alphabetical order."""
    wanted = search.understood(1, Search(kind, value, value.lower()))
    return sorted(row["recipient"].partition("@")[0] for row in search.page(1, wanted, {}, None, 100).rows)


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    ("typed", "recipients"),
    [
        ("ann", ["ANN", "Anne", "ann-a", "ann.b", "anna"]),
        ("ANN", ["ANN", "Anne", "ann-a", "ann.b", "anna"]),
        ("an.", ["an.n"]),
        ("a-n", ["a-nn"]),
        ("ann.", ["ann.b"]),
        ("änn", ["änn"]),
        ("anna@example.com", ["anna"]),
        ("c", []),
    ],
)
def test_recipients_are_found_by_their_beginning(typed: str, recipients: list[str]) -> None:
    assert found("recipient", typed) == recipients


@pytest.mark.usefixtures("people")
def test_a_domain_is_found_in_any_case() -> None:
    assert found("domain", "example.com") == sorted(PEOPLE)
    assert len(found("domain", "other.example")) == 100


@pytest.mark.usefixtures("people")
def test_no_more_recipients_are_read_than_asked_for() -> None:
    wanted = search.understood(1, Search("recipient", "z"))
    assert (len(wanted.filters), wanted.cut) == (search.ADDRESSES, True)
