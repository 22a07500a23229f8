"""Providers whose reports have stopped, and callbacks that tell of them."""

from db.migrations.steps import Statement

STEPS = (
    Statement("ALTER TABLE providers ADD COLUMN silent_since timestamptz, ADD COLUMN usual_share double precision"),
    Statement(
        "ALTER TABLE providers ADD CONSTRAINT providers_silent"
        " CHECK ((silent_since IS NULL) = (usual_share IS NULL)) NOT VALID"
    ),
    Statement("ALTER TABLE providers VALIDATE CONSTRAINT providers_silent"),
    Statement(
        "COMMENT ON COLUMN providers.silent_since IS 'Time when it was noticed that its reports have stopped.';"
        " COMMENT ON COLUMN providers.usual_share IS"
        " 'Share of its notifications about which a report came before it fell silent.'"
    ),
    Statement(
        "ALTER TABLE callbacks DROP CONSTRAINT callbacks_events_check, ADD CONSTRAINT callbacks_events_check"
        " CHECK (events <@ ARRAY['sent', 'failed', 'cancelled', 'delivered', 'bounced', 'complained',"
        " 'provider.silent', 'provider.heard'] AND cardinality(events) > 0) NOT VALID"
    ),
    Statement("ALTER TABLE callbacks VALIDATE CONSTRAINT callbacks_events_check"),
    Statement(
        "COMMENT ON COLUMN callbacks.events IS"
        " 'Events that the endpoint is told of: final and delivery statuses, and those of providers.'"
    ),
)
