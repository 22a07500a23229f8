"""Clients: stands here until the merge brings the whole of it."""

from typing import Any


def up(_migrator: Any, db: Any) -> None:
    db.execute_sql("ALTER TABLE notifications ADD COLUMN client_id bigint NOT NULL DEFAULT 1")
