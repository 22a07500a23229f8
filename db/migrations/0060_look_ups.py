"""The times at which a provider is asked again whether it has taken a notification whose attempt had no answer."""

from db.migrations.steps import Statement

LOOK_UPS = """
CREATE TABLE look_ups (
    notification_id bigint PRIMARY KEY,
    tries           integer NOT NULL CHECK (tries > 0),
    due_at          timestamptz NOT NULL
)
"""

STEPS = (
    Statement(LOOK_UPS),
    Statement("ALTER TABLE providers ADD COLUMN look_up_after timestamptz"),
    Statement(
        "COMMENT ON COLUMN look_ups.tries IS 'Number of times that the provider was asked.';"
        " COMMENT ON COLUMN look_ups.due_at IS 'Time from which it is asked again, if the notification still waits.';"
        " COMMENT ON COLUMN providers.look_up_after IS"
        " 'Time from which workers may ask it whether it has taken notifications. NULL: now.'"
    ),
)
