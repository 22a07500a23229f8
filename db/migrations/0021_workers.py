"""Reports of workers: their timeouts, the outcomes that they could not record, and their mail server."""

from db.migrations.steps import Statement

STEPS = (
    Statement(
        "ALTER TABLE workers"
        # WORKER_TIMEOUT and STUCK_AFTER of the worker. NULL: an older version; the observer's values apply.
        " ADD COLUMN timeout double precision,"
        " ADD COLUMN stuck_after double precision,"
        # Notifications whose outcome it knows but could not record yet, and the reason.
        " ADD COLUMN unrecorded bigint[] NOT NULL DEFAULT '{}',"
        " ADD COLUMN trouble text NOT NULL DEFAULT '',"
        # The mail server that it sends to, as in providers.name.
        " ADD COLUMN provider text,"
        # Values of the settings that all workers should share, by name.
        " ADD COLUMN settings jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(settings) = 'object')"
    ),
    Statement(
        "ALTER TABLE providers"
        # True if it opened because of particular mails (421 at RCPT and the like), not because of the connection.
        " ADD COLUMN by_mails boolean NOT NULL DEFAULT false,"
        # The client whose mail was the last probe; the next one is another client's.
        " ADD COLUMN probed_client bigint"
    ),
)
