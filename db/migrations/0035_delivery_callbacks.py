"""Callbacks that tell what became of a notification after it was sent."""

from db.migrations.steps import Statement

# Writes a callback for each endpoint of the client that subscribes to the event.
TELL_EVENT = """
CREATE FUNCTION tell_event(about notifications, event text, at timestamptz, evidence json)
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

# As in 0031, through `tell_event`.
TELL = """
CREATE OR REPLACE FUNCTION tell(ended notifications) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM tell_event(ended, ended.status, ended.finished_at, NULL);
END
$$
"""

STEPS = (
    Statement(
        "ALTER TABLE callbacks DROP CONSTRAINT callbacks_events_check, ADD CONSTRAINT callbacks_events_check"
        " CHECK (events <@ ARRAY['sent', 'failed', 'cancelled', 'delivered', 'bounced', 'complained']"
        " AND cardinality(events) > 0) NOT VALID"
    ),
    Statement("ALTER TABLE callbacks VALIDATE CONSTRAINT callbacks_events_check"),
    Statement("COMMENT ON COLUMN callbacks.events IS 'Final and delivery statuses that the endpoint is told of.'"),
    Statement(TELL_EVENT),
    Statement(TELL),
)
