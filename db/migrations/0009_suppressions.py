"""Addresses to which a client's notifications are not sent."""

from typing import Any

SQL = """
ALTER TABLE notifications
    -- The recipient as the suppression list has it; null where it is the same, which is the rule.
    ADD COLUMN mailbox text,
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

-- For the list, newest first.
CREATE INDEX suppressions_newest ON suppressions (client_id, created_at, address);
"""


def up(_migrator: Any, db: Any) -> None:
    db.execute_sql(SQL)
