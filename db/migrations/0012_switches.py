"""An index for the list by priority, a limit on suppression lists, and disabled clients."""

from typing import Any

SQL = """
-- For a client's list of a priority that is rare. Nearly all are normal in most systems, and those the list finds by
-- itself; a lane never changes, so that no later UPDATE touches this index.
CREATE INDEX notifications_priority ON notifications (client_id, lane, created_at, id) WHERE lane IN ('high', 'bulk');

-- Put there by its client; whoever bounces or unsubscribes is not counted, since that must never be refused.
ALTER TABLE suppressions ADD COLUMN counted boolean NOT NULL DEFAULT false;
UPDATE suppressions SET counted = true WHERE reason = 'manual';

-- How many of a client's entries are counted: to count them at each POST would cost more than the POST.
CREATE TABLE suppression_counts (
    client_id bigint PRIMARY KEY,
    counted   bigint NOT NULL CHECK (counted >= 0)
);
INSERT INTO suppression_counts (client_id, counted)
SELECT client_id, count(*) FROM suppressions WHERE counted GROUP BY client_id;

-- Whoever deletes. After all rows of the statement, so that nobody who has a row waits for who has the count.
CREATE FUNCTION uncount_suppressions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE suppression_counts AS c SET counted = c.counted - gone.count
    FROM (SELECT client_id, count(*) FROM removed WHERE counted GROUP BY client_id) AS gone
    WHERE c.client_id = gone.client_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER uncount_suppressions AFTER DELETE ON suppressions
    REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION uncount_suppressions();

-- Since when none of its keys works. What of it waits is held by a pause of its own kind, which only enabling it ends.
ALTER TABLE clients ADD COLUMN disabled_at timestamptz;
ALTER TABLE pauses
    DROP CONSTRAINT pauses_kind_check,
    ADD CONSTRAINT pauses_kind_check CHECK (kind IN ('client', 'channel', 'disabled'));
"""


def up(_migrator: Any, db: Any) -> None:
    db.execute_sql(SQL)
