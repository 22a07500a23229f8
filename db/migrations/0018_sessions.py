"""Logins at the dashboard with an API key."""

from typing import Any

SQL = """
CREATE TABLE sessions (
    -- SHA-256 of what the browser holds, which stands nowhere.
    digest     bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
    -- No foreign key: keys are never deleted.
    key_id     bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    ends_at    timestamptz NOT NULL
);

-- For whoever begins one: what is over goes.
CREATE INDEX sessions_ends ON sessions (ends_at);
"""


def up(_migrator: Any, db: Any) -> None:
    db.execute_sql(SQL)
