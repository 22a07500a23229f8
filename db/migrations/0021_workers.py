"""What workers tell each other: by which times to judge them, which outcomes they keep, which mail server they use."""

from db.migrations.steps import Statement

STEPS = (
    Statement(
        "ALTER TABLE workers"
        # WORKER_TIMEOUT and STUCK_AFTER of this worker. NULL: an older version, judged by the observer's.
        " ADD COLUMN timeout double precision,"
        " ADD COLUMN stuck_after double precision,"
        # Notifications whose outcome it knows and could not record yet, and why.
        " ADD COLUMN unrecorded bigint[] NOT NULL DEFAULT '{}',"
        " ADD COLUMN trouble text NOT NULL DEFAULT '',"
        # The mail server that it sends to, as in providers.name.
        " ADD COLUMN provider text,"
        # By name, the values of settings that all workers should share.
        " ADD COLUMN settings jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(settings) = 'object')"
    ),
    Statement(
        "ALTER TABLE providers"
        # Whether it opened on failures of particular mails (421 at RCPT and the like) and not of the connection.
        " ADD COLUMN by_mails boolean NOT NULL DEFAULT false,"
        # Whose mail was the last probe: the next one is another client's.
        " ADD COLUMN probed_client bigint"
    ),
)
