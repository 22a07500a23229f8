"""Idempotency keys, priorities, scheduled and expiring notifications, and pauses."""

from typing import Any

SQL = """
ALTER TABLE notifications
    -- Made by 0004 where that is there.
    ADD COLUMN IF NOT EXISTS client_id bigint NOT NULL DEFAULT 1,
    ADD COLUMN lane text NOT NULL DEFAULT 'normal' CHECK (lane IN ('high', 'normal', 'bulk', 'callback')),
    -- What was asked for; when it is due is in next_attempt_at.
    ADD COLUMN send_at timestamptz,
    -- The relay met it while its client or channel was paused. A resume looks for it here.
    ADD COLUMN parked boolean NOT NULL DEFAULT false,
    ADD CHECK (expires_at IS NULL OR send_at IS NULL OR expires_at > send_at);

-- For a resume: what was parked for a client, or for a channel; nearly always empty.
CREATE INDEX notifications_parked_client ON notifications (client_id, id) WHERE status = 'pending' AND parked;
CREATE INDEX notifications_parked_channel ON notifications (type, id) WHERE status = 'pending' AND parked;

CREATE TABLE idempotency_keys (
    client_id       bigint NOT NULL,
    key             text NOT NULL,
    -- SHA-256 of the request: the same key with another request is a mistake.
    digest          bytea NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    -- One notification, and what of the first answer may change in its row; or
    notification_id bigint,
    send_at         timestamptz,
    expires_at      timestamptz,
    -- a batch: for each item its id and whether it was a replay, or its errors.
    answer          json,
    PRIMARY KEY (client_id, key)
);
-- For deletion by age.
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

CREATE TABLE pauses (
    kind       text NOT NULL CHECK (kind IN ('client', 'channel')),
    -- The client's id, or the channel's type.
    name       text NOT NULL,
    since      timestamptz NOT NULL DEFAULT now(),
    -- From then on nothing is held; the row stays until all that was parked has come back.
    resumed_at timestamptz,
    PRIMARY KEY (kind, name)
);
"""


def up(_migrator: Any, db: Any) -> None:
    db.execute_sql(SQL)
