"""Further channels: the column `lane` names a queue, which is `high`, `normal`, `bulk` or for others `sms.high`."""

from db.migrations.indexes import Index
from db.migrations.steps import Statement

# As in 0031, but for the priority.
TELL = """
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
                   'failover', ended.failover,
                   'sandbox', ended.sandbox,
                   'priority', split_part(ended.lane, '.', -1),
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
$$
"""

STEPS = (
    Statement(
        "ALTER TABLE notifications DROP CONSTRAINT IF EXISTS notifications_lane_check,"
        " ADD CONSTRAINT notifications_lane_check"
        " CHECK (lane ~ '^([a-z][a-z0-9-]{0,30}\\.)?(high|normal|bulk)$' OR lane = 'callback') NOT VALID"
    ),
    Statement("ALTER TABLE notifications VALIDATE CONSTRAINT notifications_lane_check"),
    # For the list of one priority, of all channels. 0038 drops the one of 0012.
    Index(
        "notifications_of_priority",
        "notifications",
        "(client_id, split_part(lane, '.', -1), created_at, id) WHERE split_part(lane, '.', -1) IN ('high', 'bulk')",
    ),
    Statement(TELL),
    # As in 0029, but for the priority.
    Statement(
        "CREATE OR REPLACE FUNCTION count_end(ended notifications) RETURNS void LANGUAGE plpgsql VOLATILE AS $$"
        " BEGIN"
        "  IF ended.finished_at IS NOT NULL AND ended.callback_id IS NULL AND NOT ended.sandbox THEN"
        "   INSERT INTO history_new (client_id, type, priority, tags, template, outcome, class, number)"
        "   VALUES (ended.client_id, ended.type, split_part(ended.lane, '.', -1), countable_tags(ended.tags),"
        "           ended.template, ended.status, 0, 1);"
        "  END IF;"
        " END"
        " $$"
    ),
    Statement(
        "COMMENT ON COLUMN notifications.lane IS"
        " 'Queue: its priority, or for channels other than email the type and the priority, such as sms.high.';"
        " COMMENT ON COLUMN notifications.mail IS 'Options that only its channel has.'"
    ),
)
