"""The breaker of each provider, and what a client wants if the outcome of an attempt is unknown."""

from typing import Any

SQL = """
CREATE TABLE providers (
    name        text PRIMARY KEY,
    -- Open, if set: nothing is sent to it but one probe at a time.
    opened_at   timestamptz,
    reason      text,
    -- When the next probe may go; how long to wait after it if it fails.
    probe_after timestamptz,
    wait        double precision,
    -- When it was last found well: from then on the backlog is let go by degrees.
    closed_at   timestamptz,
    CHECK ((opened_at IS NULL) = (probe_after IS NULL)),
    CHECK ((opened_at IS NULL) = (wait IS NULL))
);

-- How long the oldest bell waits that this worker has fetched and not begun: for the relay.
ALTER TABLE workers ADD COLUMN oldest_bell_at timestamptz;

ALTER TABLE notifications
    -- Whether a bell was rung since it became pending, or is about to be: by accept, by a retry, by the relay.
    ADD COLUMN rung boolean NOT NULL DEFAULT true,
    ADD COLUMN on_uncertain text NOT NULL DEFAULT 'resend' CHECK (on_uncertain IN ('resend', 'hold')),
    -- For `hold`: set before the body goes out. From then on a lost worker or answer means that nobody can know.
    ADD COLUMN in_doubt_since timestamptz,
    ADD CHECK (in_doubt_since IS NULL OR (status = 'processing' AND on_uncertain = 'hold'));

-- For the relay: what nobody has rung for yet; nearly always empty.
CREATE INDEX notifications_unrung ON notifications (dispatch_after) WHERE status = 'pending' AND NOT rung;
"""


def up(_migrator: Any, db: Any) -> None:
    db.execute_sql(SQL)
