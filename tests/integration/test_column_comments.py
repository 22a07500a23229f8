"""Every column of the database has a name that explains itself, or a comment."""

from __future__ import annotations

import pytest

from db.database import rows

pytestmark = pytest.mark.usefixtures("store")

COLUMNS = """SELECT c.relname, a.attname, col_description(c.oid, a.attnum)
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
AND a.attnum > 0 AND NOT a.attisdropped"""
# Names that mean the same in every table, in the words of the glossary and of the API.
PLAIN = {
    *("id", "client_id", "notification_id", "key_id", "request_id", "worker", "host", "pid", "threads"),
    *("at", "since", "created_at", "started_at", "finished_at", "claimed_at", "send_at", "expires_at"),
    *("ends_at", "counted_at", "due_at", "done_at", "disabled_at", "revoked_at", "old_secret_until"),
    *("recipient", "address", "subject", "message", "html", "text", "content", "number", "tags", "metadata"),
    *("status", "failure_reason", "last_error", "reason", "description", "url", "secret", "scopes", "name", "key"),
    *("template", "template_version", "version", "schema", "provider", "sandbox", "outcome"),
    *("attempt_count", "retry_count", "next_attempt_at", "migration"),
}
OF_A_LIBRARY = "schema_migration"  # made by playhouse


def test_a_column_has_a_plain_name_or_a_comment() -> None:
    silent = {(table, name) for table, name, comment in rows(COLUMNS) if comment is None and table != OF_A_LIBRARY}
    assert {(table, name) for table, name in silent if name not in PLAIN} == set()


def test_a_comment_is_a_sentence() -> None:
    comments = [comment for *_, comment in rows(COLUMNS) if comment is not None]
    assert len(comments) > 50
    assert [comment for comment in comments if not (comment[0].isupper() or comment[0].isdigit())] == []
    assert [comment for comment in comments if not comment.endswith(".") or len(comment.split()) < 3] == []
