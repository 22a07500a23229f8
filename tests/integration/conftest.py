"""A database that the tests of one module share, emptied before each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from db import database
from settings import Settings
from tests.environment import configured
from tests.integration.operating import Operator


@pytest.fixture(scope="module")
def bound(module_database_url: str) -> Iterator[Settings]:
    """This process's `database` points at the module's own database."""
    with configured(database_url=module_database_url) as settings:
        database.bind(settings)
        yield settings
        database.database.close()


@pytest.fixture
def store(bound: Settings) -> Iterator[Settings]:
    """Empty tables, and this thread's connection open."""
    with database.connection():
        database.rows(
            "TRUNCATE notifications, attachments, attempts, workers, sending, providers, idempotency_keys, pauses,"
            " events, callbacks, backlogs, templates, template_names, suppressions, suppression_counts, erasures,"
            " changes, listeners, sessions RESTART IDENTITY"
        )
        # What refuses it is a trigger.
        database.rows("SET session_replication_role = replica")
        database.rows("TRUNCATE audit RESTART IDENTITY")
        database.rows("RESET session_replication_role")
        database.rows("UPDATE backlog_counts SET counted_at = NULL, due_at = now()")
        database.rows("UPDATE retention_turns SET swept_at = NULL, due_at = now()")
        yield bound


@pytest.fixture
def operator(store: Settings) -> Operator:
    """Runs commands on the module's database."""
    return Operator(store)


@pytest.fixture
def own_store(database_url: str) -> Iterator[Settings]:
    """As `store`, in a database of the test's own: what changes tables does not concern the next test."""
    with configured(database_url=database_url) as settings:
        database.bind(settings)
        with database.connection():
            yield settings
        database.database.close()
