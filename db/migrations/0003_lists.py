"""Find out what a worker had begun when it died: the list in which it claimed a row, and the probe of a breaker."""

from typing import Any

SQL = """
-- Which of its claimer's lists: they are sent in the order of ids, so only the first rows can have been begun.
ALTER TABLE notifications ADD COLUMN claimed_list bigint,
    ADD CHECK (claimed_list IS NULL OR status = 'processing');

-- Whose probe is under way: a worker that has died will not tell how it ended.
ALTER TABLE providers ADD COLUMN probe_by uuid,
    ADD CHECK (probe_by IS NULL OR opened_at IS NOT NULL);
"""


def up(_migrator: Any, db: Any) -> None:
    db.execute_sql(SQL)
