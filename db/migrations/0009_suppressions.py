"""The suppression list of each client; and templates in callbacks."""

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

-- As in 0008, and which template it was rendered from.
CREATE OR REPLACE FUNCTION tell(ended notifications) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO notifications (type, lane, client_id, recipient, subject, message, callback_id, subject_id, rung)
    SELECT 'callback', 'callback', c.client_id, 'callback/' || c.id, 'notification.' || ended.status,
           json_build_object(
               'type', 'notification.' || ended.status,
               'timestamp', rfc3339(ended.finished_at),
               'data', json_build_object(
                   'id', ended.id,
                   'type', ended.type,
                   'recipient', ended.recipient,
                   'subject', ended.subject,
                   'tags', coalesce(ended.tags, '[]'),
                   'metadata', coalesce(ended.metadata, '{}'),
                   'onUncertain', ended.on_uncertain,
                   'sandbox', ended.sandbox,
                   'priority', ended.lane,
                   'sendAt', rfc3339(ended.send_at),
                   'expiresAt', rfc3339(ended.expires_at),
                   'template', CASE WHEN ended.template_version IS NOT NULL THEN json_build_object(
                       'name', ended.template, 'version', ended.template_version) END,
                   'status', ended.status,
                   'attemptCount', ended.attempt_count,
                   'retryCount', ended.retry_count,
                   'lastError', ended.last_error,
                   'failureReason', ended.failure_reason,
                   'createdAt', rfc3339(ended.created_at),
                   'nextAttemptAt', rfc3339(ended.next_attempt_at),
                   'finishedAt', rfc3339(ended.finished_at)
               )
           )::text,
           c.id, ended.id, false
    FROM callbacks AS c
    WHERE ended.type <> 'callback' AND c.client_id = ended.client_id AND c.disabled_at IS NULL
          AND ended.status = ANY (c.events)
    ORDER BY c.id;
END
$$;
"""


def up(_migrator: Any, db: Any) -> None:
    db.execute_sql(SQL)
