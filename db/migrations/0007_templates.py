"""Templates, their versions, and the version from which a notification was rendered."""

from typing import Any

SQL = """
-- One row for each name ever used: who changes a template locks it. It outlives the template, so that
-- a number is never given to two different texts.
CREATE TABLE template_names (
    client_id bigint NOT NULL,
    name      text NOT NULL,
    -- The number given last, and the digest of what it was given to: null once the template was deleted.
    version   integer NOT NULL CHECK (version > 0),
    digest    text,
    PRIMARY KEY (client_id, name)
);

-- Never updated: a version is what it was.
CREATE TABLE templates (
    client_id  bigint NOT NULL,
    name       text NOT NULL,
    version    integer NOT NULL CHECK (version > 0),
    subject    text NOT NULL,
    text       text NOT NULL,
    html       text,
    -- Not jsonb, which would write 1e30 out, as an integer that is too large for our answers.
    schema     json,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (client_id, name, version)
);

ALTER TABLE notifications
    ADD COLUMN template text,
    ADD COLUMN template_version integer,
    ADD CHECK ((template IS NULL) = (template_version IS NULL));
"""


def up(_migrator: Any, db: Any) -> None:
    db.execute_sql(SQL)
