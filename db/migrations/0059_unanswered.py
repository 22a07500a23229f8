"""The time until which a notification waits for evidence about an attempt without an answer."""

from db.migrations.indexes import Index
from db.migrations.steps import Statement

STEPS = (
    Statement("ALTER TABLE notifications ADD COLUMN doubt_until timestamptz, ADD COLUMN evidence_until timestamptz"),
    Statement(
        "ALTER TABLE notifications ADD CONSTRAINT notifications_evidence_until"
        " CHECK (evidence_until IS NULL OR (on_uncertain = 'hold' AND bound_provider IS NOT NULL)) NOT VALID"
    ),
    Statement("ALTER TABLE notifications VALIDATE CONSTRAINT notifications_evidence_until"),
    # For upkeep: notifications that a provider may have taken, and those whose wait is over.
    Index(
        "notifications_unanswered",
        "notifications",
        "(evidence_until, id) WHERE status = 'pending' AND bound_provider IS NOT NULL",
    ),
    Statement(
        "COMMENT ON COLUMN notifications.doubt_until IS"
        " 'While in doubt: until when evidence about this attempt may come. NULL: none can come.';"
        " COMMENT ON COLUMN notifications.evidence_until IS"
        " 'Until when it waits for evidence that settles an attempt without an answer. It is sent again only to a"
        " provider that recognises the repetition.'"
    ),
    # `taken`: a look-up at the provider has found the message.
    Statement(
        "ALTER TABLE evidence DROP CONSTRAINT evidence_kind_check, ADD CONSTRAINT evidence_kind_check"
        " CHECK (kind IN ('taken', 'delayed', 'delivered', 'bounced', 'complained', 'unsubscribed')) NOT VALID"
    ),
    Statement("ALTER TABLE evidence VALIDATE CONSTRAINT evidence_kind_check"),
    Statement(
        "COMMENT ON COLUMN evidence.kind IS"
        " 'Event: taken (found by a look-up), delayed, delivered, bounced, complained or unsubscribed.'"
    ),
)
