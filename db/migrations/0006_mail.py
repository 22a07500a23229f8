"""Fields that only mails have: senders, copies, headers, and attachments."""

from typing import Any

SQL = """
-- from, replyTo, recipientName, cc, bcc, headers, unsubscribe, and of each attachment filename, contentType,
-- contentId and size, as the client gave them. Null for most, whom it costs nothing.
ALTER TABLE notifications ADD COLUMN mail jsonb;

-- Out of the hot row: read once an attempt, by the worker that sends it. No foreign key, as for attempts: both
-- rows are written by one statement, and it would have every change of a notification checked.
CREATE TABLE attachments (
    notification_id bigint NOT NULL,
    number          integer NOT NULL CHECK (number > 0),
    content         bytea NOT NULL,
    PRIMARY KEY (notification_id, number)
);
-- Most files are compressed already.
ALTER TABLE attachments ALTER COLUMN content SET STORAGE EXTERNAL;
"""


def up(_migrator: Any, db: Any) -> None:
    db.execute_sql(SQL)
