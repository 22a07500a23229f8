"""Several providers: which one holds a notification, which one may have taken it, and what operators changed."""

from db.migrations.steps import Statement

# As in 0009, and `failover`.
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
$$
"""

STEPS = (
    Statement(
        "ALTER TABLE notifications"
        # The provider for which it is claimed; only kept while it is `processing`, and only if there are several.
        " ADD COLUMN claimed_provider text,"
        # The provider that may have taken it in an attempt without an answer: it is not sent through another one.
        " ADD COLUMN bound_provider text,"
        # always: it may be sent through another provider although the first may have taken it.
        " ADD COLUMN failover text NOT NULL DEFAULT 'safe'"
    ),
    Statement(
        "ALTER TABLE notifications ADD CONSTRAINT notifications_failover"
        " CHECK (failover IN ('safe', 'always')) NOT VALID"
    ),
    Statement("ALTER TABLE notifications VALIDATE CONSTRAINT notifications_failover"),
    Statement(
        "ALTER TABLE providers"
        # False: operators have switched it off, and nothing is sent through it.
        " ADD COLUMN enabled boolean NOT NULL DEFAULT true,"
        # The weight that operators have set instead of that of its URL.
        " ADD COLUMN weight integer,"
        # Priority, weight, connections and rate of its URL, as the workers report them.
        " ADD COLUMN config jsonb NOT NULL DEFAULT '{}'"
    ),
    Statement("ALTER TABLE providers ADD CONSTRAINT providers_weight CHECK (weight BETWEEN 1 AND 1000) NOT VALID"),
    Statement("ALTER TABLE providers VALIDATE CONSTRAINT providers_weight"),
    Statement(
        "COMMENT ON COLUMN notifications.claimed_provider IS"
        " 'Provider for which it is claimed, if there are several. NULL: it is not claimed.';"
        " COMMENT ON COLUMN notifications.bound_provider IS"
        " 'Provider that may have taken it in an attempt without an answer. No other one may send it.';"
        " COMMENT ON COLUMN notifications.failover IS"
        " 'Whether another provider may send it although the first may have taken it: safe or always.';"
        " COMMENT ON COLUMN providers.enabled IS 'False: operators have switched it off.';"
        " COMMENT ON COLUMN providers.weight IS 'Weight set by operators. NULL: that of its URL.';"
        " COMMENT ON COLUMN providers.config IS"
        " 'Priority, weight, connections and rate of its URL, as workers report them.'"
    ),
    Statement(TELL),
)
