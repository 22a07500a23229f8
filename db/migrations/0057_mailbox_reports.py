"""The digest of a report that was read from a mailbox, so that one that is found again counts once."""

from db.migrations.indexes import Index
from db.migrations.steps import Statement

STEPS = (
    Statement("ALTER TABLE reports ADD COLUMN digest bytea"),
    # For the reader of a mailbox.
    Index("reports_digest", "reports", "(digest) WHERE digest IS NOT NULL", unique=True),
    Statement(
        "COMMENT ON COLUMN reports.digest IS"
        " 'SHA-256 of the message that was read from a mailbox. NULL: it came in another way.';"
        " COMMENT ON COLUMN reports.source IS"
        " 'Way in: api, smtp, imap, or the name of the provider whose webhook it is.'"
    ),
)
