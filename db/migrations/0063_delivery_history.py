"""Counts of what reports say, by the hour in which the notifications were sent."""

from db.migrations.steps import Statement

STEPS = (
    Statement(
        "ALTER TABLE history DROP CONSTRAINT history_outcome_check, ADD CONSTRAINT history_outcome_check"
        " CHECK (outcome IN ('sent', 'failed', 'cancelled', 'reported', 'delivered', 'bounced', 'complained'))"
        " NOT VALID"
    ),
    Statement("ALTER TABLE history VALIDATE CONSTRAINT history_outcome_check"),
    # Only for reports: to find it for each end would cost the statement that ends many notifications too much.
    Statement("ALTER TABLE history_new ADD COLUMN domain text"),
    Statement(
        "COMMENT ON COLUMN history_new.domain IS"
        " 'Domain of the sender of a mail about which a report came. NULL: it is an end, or about no mail.'"
    ),
)
