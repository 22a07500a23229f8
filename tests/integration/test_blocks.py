"""Blocks: every id has a place with and without maintenance, and the newest block gets its end in time."""

from __future__ import annotations

import time
from typing import Any
from unittest import mock

import pytest

from db import blocks, lifecycle, reports
from db.blocks import TABLES
from db.database import Contended, Unavailable, connection, rows
from db.idempotency import Key, Post, accept_once
from settings import Settings
from tests.integration.ends import BOUNDS, DAY, SIZE, Elsewhere, ended, grown
from tests.integration.rows import CLIENT, GRACE, WORKER, accepted, attempt, draft, failed, history, status

pytestmark = pytest.mark.usefixtures("own_store")


def grow() -> blocks.Block | None:
    return blocks.grow(SIZE, BOUNDS.lock_timeout, BOUNDS.time_limit)


def bounds() -> list[tuple[int, int | None]]:
    return [(block.first, block.end) for block in blocks.listed()]


def places(table: str) -> list[tuple[str, int]]:
    return rows(f"SELECT tableoid::regclass::text, {TABLES[table]} FROM {table} ORDER BY 2")


def test_a_new_database_has_one_block_for_all_ids() -> None:
    assert bounds() == [(0, None)]


def test_a_nearly_empty_last_block_is_left_unchanged() -> None:
    accepted(SIZE // 10 - 1)
    assert grow() is None
    assert bounds() == [(0, None)]


def test_a_partly_filled_block_gets_an_end_above_the_ids_and_a_successor() -> None:
    accepted(SIZE // 10)
    assert grow() == (SIZE, None, 0, 0)
    assert bounds() == [(0, SIZE), (SIZE, None)]
    assert grow() is None


def test_rows_that_belong_to_a_notification_are_stored_in_its_block() -> None:
    old = failed()
    rows("SELECT setval('notifications_id_seq', %s)", SIZE // 10)
    assert grow() is not None
    rows("SELECT setval('notifications_id_seq', %s)", SIZE)
    new = failed()
    accept_once([Post(draft()._replace(contents=(b"x",)), Key("k", b""))], GRACE, 1)
    for id in (old, new):
        assert lifecycle.redrive(id, CLIENT, GRACE)

    assert places("notifications") == [(f"notifications_{n}", i) for n, i in ((0, old), (SIZE, new), (SIZE, new + 1))]
    assert places("attempts") == [("attempts_0", old), (f"attempts_{SIZE}", new)]
    assert places("events") == [("events_0", old), (f"events_{SIZE}", new)]
    assert places("attachments") == [(f"attachments_{SIZE}", new + 1)]


def test_a_list_of_ids_from_two_blocks_is_claimed_settled_and_released_as_one() -> None:
    ids = accepted(SIZE // 2)[-3:]
    grown()
    ids += accepted(3)
    held = lifecycle.claim(ids, WORKER)
    assert [claimed.id for claimed in held] == ids
    done, back = held[1:5], [held[0], held[5]]
    assert len(lifecycle.settle([lifecycle.sent(c, attempt()) for c in done], GRACE, time.monotonic())) == 4
    assert sorted(lifecycle.release([(c.id, c.claim) for c in back])) == [ids[0], ids[5]]
    assert [status(id) for id in ids] == ["pending", "sent", "sent", "sent", "sent", "pending"]
    assert history(ids[1]) == ["sent"]


def test_blocks_are_listed_in_order_of_ids() -> None:
    ids = ended(count=SIZE // 2)
    grown()
    ids += ended(ago=DAY, count=5)
    page = reports.newest(CLIENT, {}, None, 10).rows
    after = reports.Position(page[-1]["created_at"], page[-1]["id"])
    found = [row["id"] for row in page + reports.newest(CLIENT, {}, after, SIZE).rows]
    assert found == sorted(ids, reverse=True)


def test_everything_is_accepted_while_no_worker_adds_blocks_and_the_next_one_adds_them() -> None:
    ids = accepted(5 * SIZE)
    assert bounds() == [(0, None)]
    assert grow() is not None
    [(first, end), (begun, none)] = bounds()
    assert (first, end, none) == (0, begun, None)
    assert begun >= ids[-1] + SIZE // 2
    assert lifecycle.claim(ids[-1:], WORKER)


def test_adding_a_block_gives_up_when_the_table_is_in_use_and_accepting_continues(own_store: Settings) -> None:
    accepted(SIZE // 2)
    with Elsewhere(own_store) as other:
        other.run("SELECT count(*) FROM attempts")
        with pytest.raises(Contended), connection():
            grow()
        assert accepted(SIZE)
    assert grow() is not None


def test_a_worker_that_dies_before_adding_a_block_leaves_it_to_the_next_one() -> None:
    ids = accepted(SIZE // 2)
    with mock.patch.object(blocks, "_cut", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        grow()
    assert bounds() == [(0, None)]
    ids += accepted(SIZE // 4)
    begun = grow()
    assert begun is not None
    assert begun.first > ids[-1]
    assert rows("SELECT conname FROM pg_constraint WHERE conname = 'block_bounds'") == []
    rows("SELECT setval('notifications_id_seq', %s)", begun.first)
    assert places("notifications")[-1][1] < begun.first <= accepted()[0]


def test_a_connection_lost_while_adding_a_block_changes_nothing() -> None:
    accepted(SIZE // 2)
    with pytest.raises(Unavailable), connection(), mock.patch.object(blocks, "_cut", side_effect=_hang_up):
        grow()
    with connection():
        assert bounds() == [(0, None)]
        assert grow() is not None


def _hang_up(*_: object) -> None:
    rows("SELECT pg_terminate_backend(pg_backend_pid())")


def test_a_new_block_has_all_columns_indexes_and_constraints_of_the_table() -> None:
    rows("ALTER TABLE notifications ADD COLUMN later integer NOT NULL DEFAULT 7 CHECK (later > 6)")
    rows("CREATE INDEX notifications_later ON notifications (later)")
    accepted(SIZE // 2)
    begun = grown()
    for table in TABLES:
        whole, *parts = (_shape(name) for name in (table, f"{table}_0", begun.named(table)))
        assert all(part == whole for part in parts)


def _shape(table: str) -> list[list[tuple[Any, ...]]]:
    """Columns, indexes and checks, without names."""
    return [
        rows(sql, table)
        for sql in (
            "SELECT attname, atttypid, attnotnull, attstorage FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
            "SELECT regexp_replace(pg_get_indexdef(indexrelid), '^.* USING ', ''), indisunique FROM pg_index"
            " WHERE indrelid = %s::regclass ORDER BY 1",
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass"
            " AND contype = 'c' ORDER BY 1",
        )
    ]
