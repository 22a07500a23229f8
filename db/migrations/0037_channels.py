"""Further channels: the column `lane` names a queue, which is `high`, `normal`, `bulk` or for others `sms.high`."""

from db.migrations.indexes import Index
from db.migrations.steps import Statement

# As in 0035, but for the priority.
TELL_EVENT = """
CREATE OR REPLACE FUNCTION tell_event(about notifications, event text, at timestamptz, evidence json)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO notifications (type, lane, client_id, recipient, subject, message, callback_id, subject_id, rung)
    SELECT 'callback', 'callback', c.client_id, 'callback/' || c.id, 'notification.' || event,
           json_build_object(
               'type', 'notification.' || event,
               'timestamp', rfc3339(at),
               'data', json_build_object(
                   'id', about.id,
                   'type', about.type,
                   'recipient', about.recipient,
                   'subject', about.subject,
                   'tags', coalesce(about.tags, '[]'),
                   'metadata', coalesce(about.metadata, '{}'),
                   'onUncertain', about.on_uncertain,
                   'failover', about.failover,
                   'sandbox', about.sandbox,
                   'priority', split_part(about.lane, '.', -1),
                   'sendAt', rfc3339(about.send_at),
                   'expiresAt', rfc3339(about.expires_at),
                   'template', CASE WHEN about.template_version IS NOT NULL THEN json_build_object(
                       'name', about.template, 'version', about.template_version) END,
                   'status', about.status,
                   'attemptCount', about.attempt_count,
                   'retryCount', about.retry_count,
                   'lastError', about.last_error,
                   'failureReason', about.failure_reason,
                   'deliveryStatus', CASE WHEN about.status = 'sent'
                                          THEN coalesce(about.delivery_status, 'unconfirmed') END,
                   'deliveryEvidence', evidence,
                   'createdAt', rfc3339(about.created_at),
                   'nextAttemptAt', rfc3339(about.next_attempt_at),
                   'finishedAt', rfc3339(about.finished_at)
               )
           )::text,
           c.id, about.id, false
    FROM callbacks AS c
    WHERE about.type <> 'callback' AND c.client_id = about.client_id AND c.disabled_at IS NULL
          AND event = ANY (c.events)
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
    Statement(TELL_EVENT),
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
    Statement(
        "COMMENT ON COLUMN domains.domain IS 'Name of the domain, in lower case.';"
        " COMMENT ON COLUMN domains.checked_at IS 'When its DNS records were last checked. NULL: never.';"
        " COMMENT ON COLUMN domain_keys.domain_id IS 'Domain that it signs for.';"
        " COMMENT ON COLUMN domain_keys.algorithm IS 'Algorithm: rsa or ed25519.';"
        " COMMENT ON COLUMN domain_keys.retired_at IS 'When its private key was deleted. NULL: it is still there.'"
    ),
)
