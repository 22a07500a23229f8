"""A database that the tests of one module share, emptied before each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from db import database
from settings import Settings
from tests.emptying import empty
from tests.environment import configured
from tests.integration import racing
from tests.integration.operating import Operator

EMPTIED = (
    *("notifications", "attachments", "attempts", "workers", "sending", "providers", "idempotency_keys", "pauses"),
    *("events", "callbacks", "backlogs", "templates", "template_names", "suppressions", "suppression_counts"),
    *("destinations", "erasures", "changes", "listeners", "sessions", "audit", "history", "history_new"),
    *("domain_keys", "domains", "subject_words"),
    *("reports", "evidence", "report_rejections", "look_ups", "refused_domains"),
)


@pytest.fixture(scope="module")
def bound(module_database_url: str) -> Iterator[Settings]:
    """This process's `database` points at the module's own database."""
    with configured(database_url=module_database_url) as settings:
        database.bind(settings.database)
        yield settings
        racing.end()
        database.database.close()


@pytest.fixture
def store(bound: Settings) -> Iterator[Settings]:
    """Empty tables, and this thread's connection open."""
    with database.connection():
        _empty()
        yield bound


def _empty() -> None:
    """Delete all rows but those that a migration made."""
    empty(database.rows, EMPTIED)
    database.rows("UPDATE backlog_counts SET counted_at = NULL, due_at = now()")
    database.rows("UPDATE subject_progress SET complete_id = 0, drawn_id = 0, drawn_xid = '0', drawn_at = '-infinity'")
    database.rows("UPDATE retention_turns SET swept_at = NULL, due_at = now()")


@pytest.fixture
def operator(store: Settings) -> Operator:
    """Runs commands on the module's database."""
    return Operator(store)


@pytest.fixture
def own_store(database_url: str) -> Iterator[Settings]:
    """Like `store`, in a database of the test's own, so that changed tables do not affect the next test."""
    with configured(database_url=database_url) as settings:
        database.bind(settings.database)
        with database.connection():
            yield settings
        racing.end()
        database.database.close()
