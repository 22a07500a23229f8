"""Notifications that were finished some time ago, and the blocks that contain them."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

import psycopg2

from db import blocks, lifecycle, retention
from db.blocks import Block
from db.database import rows
from db.policy import Bounds, Policy, Step
from settings import Settings
from tests.integration.rows import CLIENT, GRACE, WORKER, accepted, attempt

SIZE = 100  # ids in a block
BOUNDS = Bounds(batch=7, size=SIZE, lock_timeout=0.1, time_limit=10)
DAY = 86_400.0
# All is kept for a day.
ALIKE = Policy(sent=DAY, failed=DAY, cancelled=DAY)


def ended(state: str = "sent", ago: float = 2 * DAY, count: int = 1) -> list[int]:
    """Accepted so many seconds ago, and come to this end then; `pending` and `processing` for as long."""
    ids = accepted(count)
    if state == "cancelled":
        assert all(lifecycle.cancel(id, CLIENT) for id in ids)
    elif state != "pending":
        held = lifecycle.claim(ids, WORKER)
        ends = {
            "sent": lambda claimed: lifecycle.sent(claimed, attempt()),
            "failed": lambda claimed: lifecycle.failed(claimed, attempt("refused"), "rejected"),
        }
        if state in ends:
            lifecycle.settle([ends[state](claimed) for claimed in held], GRACE, time.monotonic())
    aged(ids, ago)
    return ids


def aged(ids: list[int], ago: float) -> None:
    """Move the times of acceptance and of the end so many seconds into the past."""
    rows(
        "UPDATE notifications SET created_at = now() - %s * interval '1 second',"
        " finished_at = CASE WHEN finished_at IS NOT NULL THEN now() - %s * interval '1 second' END WHERE id = ANY(%s)",
        ago,
        ago,
        ids,
    )


def grown() -> Block:
    """The open block, after it was given its end: a new one."""
    begun = blocks.grow(SIZE, BOUNDS.lock_timeout, BOUNDS.time_limit)
    assert begun is not None
    rows("SELECT setval('notifications_id_seq', %s)", begun.first)
    return begun


def full_block(count: int = 20, state: str = "sent", ago: float = 2 * DAY) -> tuple[Block, list[int]]:
    """A block that has its end, and what it holds."""
    ids = ended(state, ago, count)
    grown()
    return blocks.listed()[-2], ids


def removed(policy: Policy = ALIKE, bounds: Bounds = BOUNDS) -> list[Step]:
    """One whole round."""
    return [*retention.look_after_blocks(policy, bounds), *retention.sweep(policy, bounds)]


def left() -> list[int]:
    return [id for (id,) in rows("SELECT id FROM notifications ORDER BY id")]


def orphans() -> list[tuple[str, int]]:
    """Return the rows that belong to no notification, as pairs of table and id."""
    return [
        (table, id)
        for table, key in blocks.TABLES.items()
        for (id,) in rows(f"SELECT {key} FROM {table} WHERE {key} NOT IN (SELECT id FROM notifications)")
    ]


class Elsewhere:
    """A transaction of somebody else's: `with Elsewhere(settings) as other`, until the end of the block."""

    def __init__(self, settings: Settings) -> None:
        self._connection = psycopg2.connect(settings.database.url)

    def __enter__(self) -> Elsewhere:
        return self

    def __exit__(self, *_: object) -> None:
        with closing(self._connection):
            self._connection.rollback()

    def run(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """One statement of it; what it has locked stays locked."""
        cursor = self._connection.cursor()
        cursor.execute(sql, values)
        return cursor.fetchall() if cursor.description else []
