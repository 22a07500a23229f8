"""The daily limits of providers: how much of each is used, and until when one is used up."""

from db.migrations.steps import Statement

STEPS = (
    Statement(
        "ALTER TABLE providers"
        # Redis counts; this copy lets the count go on after Redis has lost its data.
        " ADD COLUMN daily_used jsonb NOT NULL DEFAULT '{}',"
        # Set by the worker that finds nothing left. It passes by itself.
        " ADD COLUMN exhausted_until timestamptz"
    ),
    Statement(
        "COMMENT ON COLUMN providers.daily_used IS"
        " 'Notifications counted against its daily limit, by quarter of an hour since 1970.';"
        " COMMENT ON COLUMN providers.exhausted_until IS"
        " 'Time until which its daily limit is used up. In the past or NULL: it is not.'"
    ),
)
