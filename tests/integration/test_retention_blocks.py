"""Retention of blocks: a block is dropped as a whole or not at all, and others are delayed only briefly."""

from __future__ import annotations

import threading
from collections.abc import Callable
from unittest import mock

import pytest

from actors.retention import Retention
from db import blocks, lifecycle, reports, retention
from db.database import connection, database, rows
from db.models import FINAL
from db.policy import Policy, Step
from settings import Settings
from tests.environment import configured
from tests.integration.ends import (
    ALIKE,
    BOUNDS,
    DAY,
    Elsewhere,
    aged,
    ended,
    full_block,
    left,
    orphans,
    removed,
)
from tests.integration.racing import at_once
from tests.integration.rows import CLIENT, GRACE, WORKER, accepted, status

pytestmark = pytest.mark.usefixtures("own_store")


def dropped(policy: Policy = ALIKE) -> list[Step]:
    return list(retention.look_after_blocks(policy, BOUNDS))


def tables() -> set[str]:
    return {name for (name,) in rows("SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')")}


def test_a_block_with_only_expired_rows_is_dropped_with_their_attempts_and_events() -> None:
    block, gone = full_block()
    young = ended(ago=0, count=3)
    [step] = dropped()
    assert (step.what, step.block) == ("dropped", block.first)
    assert left() == young
    assert orphans() == []
    assert not tables() & {block.named(table) for table in blocks.TABLES}
    assert reports.notification(gone[0], CLIENT) is None
    assert reports.attempts(gone[0], CLIENT) == []


@pytest.mark.parametrize(
    "keep",
    [
        lambda: ended("pending"),
        lambda: ended("processing"),
        lambda: ended("sent", DAY / 2),
        lambda: ended("failed", DAY / 2),
        lambda: ended("cancelled", DAY / 2),
    ],
    ids=["pending", "processing", "sent lately", "failed lately", "cancelled lately"],
)
def test_a_block_with_a_row_to_keep_is_not_dropped(keep: Callable[[], list[int]]) -> None:
    ended(count=10)
    kept = keep()
    _, after = full_block(10)
    assert dropped() == []
    assert left()[10:] == [*kept, *after]


@pytest.mark.parametrize("state", ["sent", "failed", "cancelled"])
def test_a_row_whose_status_is_kept_for_ever_keeps_its_block(state: str) -> None:
    kept = ended(state)
    full_block(state="sent" if state != "sent" else "failed")
    policy = Policy(**{each: DAY for each in FINAL if each != state})
    assert dropped(policy) == []
    assert removed(policy)
    assert left() == kept


def test_a_status_kept_for_ever_without_rows_keeps_no_block() -> None:
    full_block()
    assert [step.what for step in dropped(Policy(sent=DAY))] == ["dropped"]


def test_each_status_of_a_block_counts_its_own_time() -> None:
    ended("failed", 2 * DAY)
    full_block()
    assert dropped(Policy(sent=DAY, failed=3 * DAY, cancelled=DAY)) == []
    assert len(dropped(Policy(sent=DAY, failed=1.5 * DAY, cancelled=DAY))) == 1


def test_the_last_block_is_emptied_and_never_dropped() -> None:
    ids = ended(count=5)
    assert dropped() == []
    assert sum(step.rows for step in removed()) == len(ids)
    assert accepted()


def test_an_empty_block_is_dropped() -> None:
    full_block()
    rows("DELETE FROM notifications")
    assert len(dropped()) == 1


def test_a_row_sent_again_while_its_block_was_looked_at_keeps_the_block() -> None:
    _, ids = full_block(state="failed")

    def meanwhile() -> None:
        at_once([lambda: lifecycle.redrive(ids[3], CLIENT, GRACE)])
        lock()

    lock = blocks.lock
    with mock.patch.object(blocks, "lock", side_effect=meanwhile):
        assert dropped() == []
    assert left() == ids
    assert status(ids[3]) == "pending"
    assert lifecycle.claim([ids[3]], WORKER)


def test_a_row_sent_again_and_failed_again_keeps_the_block_for_its_time() -> None:
    _, ids = full_block(state="failed")
    dropped(Policy(sent=DAY, failed=10 * DAY))
    aged(ids[5:6], 0)
    assert dropped() == []
    aged(ids[5:6], 2 * DAY)
    assert len(dropped()) == 1


def test_dropping_a_block_gives_up_when_the_table_is_in_use_and_accepting_continues(own_store: Settings) -> None:
    block, ids = full_block()
    with Elsewhere(own_store) as other:
        other.run("SELECT count(*) FROM notifications")
        [step] = dropped()
        assert (step.what, step.block) == ("contended", block.first)
        assert accepted()
        assert left()[:-1] == ids
    assert [step.what for step in dropped()] == ["dropped"]


def test_a_paged_list_continues_after_a_dropped_block() -> None:
    _, old = full_block()
    young = ended(ago=DAY / 2, count=30)
    page = reports.newest(CLIENT, {}, None, 10).rows
    assert "dropped" in {step.what for step in dropped()}
    found = [row["id"] for row in page]
    while page:
        after = reports.Position(page[-1]["created_at"], page[-1]["id"])
        page = reports.newest(CLIENT, {}, after, 10).rows
        found += [row["id"] for row in page]
    assert found == sorted(young, reverse=True)
    assert not set(found) & set(old)


def test_lists_and_claims_during_a_drop_see_no_error() -> None:
    full_block()
    ending, errors, rounds = threading.Event(), [], [0]

    def use() -> None:
        try:
            while not ending.is_set():
                with connection():
                    reports.newest(CLIENT, {}, None, 50)
                    lifecycle.claim(accepted(3), WORKER)
                    rounds[0] += 1
        except Exception as error:  # noqa: BLE001 - it is shown
            errors.append(error)
        finally:
            database.close()

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    while not any(step.what == "dropped" for step in dropped()):
        assert threads[0].is_alive()
    ending.set()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert rounds[0] > 0


def test_a_block_is_dropped_by_one_of_several_simultaneous_sweeps() -> None:
    block, _ = full_block()
    steps = [step for steps in at_once([dropped] * 3) for step in steps]
    steps += dropped()
    assert [(step.what, step.block) for step in steps if step.what != "contended"] == [("dropped", block.first)]


def test_a_process_that_dies_before_the_drop_is_done_leaves_the_block_whole() -> None:
    _, ids = full_block()
    drop = mock.patch.object(blocks, "TABLES", dict.fromkeys((*blocks.TABLES, "nothing"), "id"))
    with pytest.raises(Exception, match="nothing"), drop, mock.patch.object(blocks, "lock"):
        dropped()
    assert left() == ids
    assert len(reports.attempts(ids[0], CLIENT)) == 1
    assert len(dropped()) == 1


def test_a_half_built_index_is_built_again() -> None:
    block, _ = full_block(state="failed")
    dropped(Policy(failed=10 * DAY))
    name = f"{block.named('notifications')}_finished"
    rows(f"CREATE INDEX {name} ON {block.named('notifications')} USING brin (finished_at)")
    rows("UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", name)
    assert len(dropped()) == 1


def test_an_estimate_changes_nothing_and_lists_the_blocks_to_drop() -> None:
    block, ids = full_block(50)
    ids += ended(count=20)
    rows("ANALYZE notifications")
    steps = {step.block: step for step in retention.estimate(ALIKE)}
    [begun] = [b for b in blocks.listed() if b.end is None]
    assert steps[block.first] == Step("dropped", 50, block.first)
    assert steps[begun.first].what == "deleted"
    assert 15 <= steps[begun.first].rows <= 25
    assert left() == ids


def thread(**values: object) -> Retention:
    with configured(**values) as settings:
        return Retention(settings.retention)


def test_a_round_adds_blocks_drops_and_deletes_and_the_next_is_due_later() -> None:
    _, _ = full_block()
    ended(count=5)
    ended("failed", count=5)
    kept = ended(ago=0)
    one = thread(retention_sent=DAY, retention_lateness=0)
    one.turn()
    assert len(left()) == 5 + len(kept)
    again = ended()
    one.turn()
    assert left()[-1:] == again
    rows("UPDATE retention_turns SET due_at = now()")
    one.turn()
    assert left()[-1:] == kept


def test_a_worker_sweeps_no_more_often_than_the_lateness_asks_for() -> None:
    one = thread(retention_sent=DAY, retention_lateness=DAY)
    [id] = ended(ago=1.4 * DAY)
    one.turn()
    aged([id], 1.6 * DAY)
    rows("UPDATE retention_turns SET due_at = now()")
    one.turn()
    assert left() == [id]
    rows("UPDATE retention_turns SET due_at = now(), swept_at = swept_at - interval '13 hours'")
    one.turn()
    assert left() == []


def test_a_stopping_worker_does_no_further_step() -> None:
    ended(count=20)
    one = thread(retention_sent=DAY, retention_lateness=0, retention_batch=5)
    one.stop()
    one.turn()
    assert len(left()) == 15


def test_blocks_are_added_without_a_retention_policy_too() -> None:
    accepted(60)
    assert [step.what for step in dropped(Policy())] == ["begun"]
    grown_to = blocks.listed()[-1]
    assert grown_to.first > 60
    accepted(1)
