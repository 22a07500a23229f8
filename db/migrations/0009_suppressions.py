"""Addresses to which a client's notifications are not sent."""

from typing import Any

SQL = """
ALTER TABLE notifications
    -- The recipient, and who gets a copy, as the suppression list has them; null for most, who stand in `recipient`.
    ADD COLUMN mailboxes jsonb,
    DROP CONSTRAINT notifications_failure_reason_check,
    ADD CONSTRAINT notifications_failure_reason_check
        CHECK (failure_reason IN ('rejected', 'exhausted', 'expired', 'outcome-unknown', 'suppressed'));

-- The primary key is for accept and claim, which ask for one address.
CREATE TABLE suppressions (
    client_id  bigint NOT NULL,
    address    text NOT NULL,
    reason     text NOT NULL CHECK (reason IN ('manual', 'unsubscribed', 'bounced')),
    source     text,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    PRIMARY KEY (client_id, address)
);

-- What the first answer said, where the notification had failed by then: it may have been retried since.
ALTER TABLE idempotency_keys ADD COLUMN suppressed text;

-- For the list, newest first.
CREATE INDEX suppressions_newest ON suppressions (client_id, created_at, address);
"""


def up(_migrator: Any, db: Any) -> None:
    db.execute_sql(SQL)
