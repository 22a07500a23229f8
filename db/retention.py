"""Retention: delete final notifications, with all that belongs to them, after a time that depends on their state.

A block whose rows are all past their age is dropped: that takes milliseconds, whatever it holds, and leaves nothing to
vacuum. Such rows in other blocks are deleted in small batches. Pending rows and rows being sent are never deleted,
however old they are. Two processes at once are safe. Call within `connection()`, outside of a transaction.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

from db import blocks
from db.blocks import TABLES, Block
from db.database import Contended, database, hurrying, lasting, qualified, rows
from db.exclusive import exclusive
from db.models import FINAL
from db.policy import Bounds, Policy, Step

# Any constant will do that no other advisory lock of a schema has.
LOCK = 7_021_970
LEASE = 60.0  # seconds after which another worker takes over, if the one whose turn it was has died


def take_turn() -> bool:
    """Return whether it is this worker's turn."""
    return bool(
        rows(
            "UPDATE retention_turns SET due_at = now() + %s * interval '1 second' WHERE due_at <= now() RETURNING true",
            LEASE,
        )
    )


def hold_turn() -> None:
    """Keep the turn for another LEASE seconds."""
    end_turn(LEASE)


def end_turn(interval: float) -> None:
    """End the turn. The next one is due in `interval` seconds."""
    rows("UPDATE retention_turns SET due_at = now() + %s * interval '1 second'", interval)


def sweep_due(every: float) -> bool:
    """Return whether the last complete sweep began more than `every` seconds ago."""
    [(due,)] = rows("SELECT coalesce(swept_at < now() - %s * interval '1 second', true) FROM retention_turns", every)
    return bool(due)


def look_after_blocks(policy: Policy, bounds: Bounds) -> Iterator[Step]:
    """Begin a new block if it is time to, and drop blocks past their age. Do nothing while another process does it."""
    with exclusive(LOCK) as alone:
        if not alone:
            return
        yield from _grown(bounds)
        for block in [b for b in blocks.listed() if _ripe(b, policy)]:
            try:
                if (count := _dropped(block, policy, bounds)) is not None:
                    yield Step("dropped", count, block.first)
            except Contended:
                yield Step("contended", block.rows, block.first)


def sweep(policy: Policy, bounds: Bounds) -> Generator[Step, None, None]:
    """Delete rows past their age, oldest first. Yield a step for each statement."""
    if not policy.ages:
        return
    [(begun,)] = rows("SELECT now()")
    after, oldest = 0, min(policy.ages.values()) + policy.lateness
    while True:
        [(last, old)] = rows(
            "SELECT max(id), bool_or(created_at < now() - %s * interval '1 second')"
            " FROM (SELECT id, created_at FROM notifications WHERE id > %s ORDER BY id LIMIT %s) AS next",
            *(oldest, after, bounds.batch),
        )
        # Ids grow with time, so all further rows are younger.
        if not old:
            break
        yield Step("deleted", _delete(after, last, bounds.batch, policy))
        after = last
    yield from _orphans(bounds.batch)
    rows("UPDATE retention_turns SET swept_at = %s", begun)


def _orphans(most: int) -> Iterator[Step]:
    """Delete evidence about notifications that are gone. It is rare, so it has no blocks."""
    after = (0, b"")
    while True:
        found = rows(
            """
            WITH next AS MATERIALIZED (
                SELECT notification_id, digest FROM evidence WHERE (notification_id, digest) > (%s, %s)
                ORDER BY notification_id, digest LIMIT %s
            ), gone AS (
                DELETE FROM evidence AS e USING next
                WHERE e.notification_id = next.notification_id AND e.digest = next.digest
                      AND NOT EXISTS (SELECT FROM notifications AS n WHERE n.id = e.notification_id)
                RETURNING 1
            )
            SELECT notification_id, digest, (SELECT count(*) FROM gone) FROM next
            ORDER BY notification_id DESC, digest DESC LIMIT 1
            """,
            *(*after, most),
        )
        if not found:
            return
        [(id, digest, count)] = found
        after = (id, bytes(digest))
        yield Step("deleted", count)


def estimate(policy: Policy) -> Iterator[Step]:
    """Yield the steps that a round would make, with PostgreSQL's estimates instead of counts."""
    for block in blocks.listed():
        if _ripe(block, policy):
            yield Step("dropped", block.rows, block.first)
        elif policy.ages:
            yield Step("deleted", _estimated(block, policy), block.first)


def past(row: str) -> str:
    """Return SQL for whether a row is past its age. Parameters: the ages of the states in FINAL, in order; lateness."""
    ages = " ".join(f"WHEN '{state}' THEN %s::float8" for state in FINAL)
    return f"{row}.finished_at < now() - (CASE {row}.status {ages} END + %s) * interval '1 second'"


def _ages(policy: Policy, lateness: float = 0) -> tuple[float | None, ...]:
    return *(getattr(policy, state) for state in FINAL), lateness


def _delete(after: int, last: int, most: int, policy: Policy) -> int:
    """Delete rows past their age among the next `most` with ids above `after` and up to `last`. Return how many.

    Rows that another transaction has locked are left for the next sweep.
    """
    among, gone = (after, last), "ANY(ARRAY(SELECT id FROM old))"
    children = ", ".join(
        f"{table}_gone AS (DELETE FROM {table} WHERE {key} > %s AND {key} <= %s AND {key} = {gone})"
        for table, key in TABLES.items()
        if table != "notifications"
    )
    deleted = rows(
        f"""
        WITH next AS MATERIALIZED (
            SELECT id FROM notifications WHERE id > %s AND id <= %s ORDER BY id LIMIT %s
        ), old AS MATERIALIZED (
            SELECT id FROM notifications AS n
            WHERE id > %s AND id <= %s AND id = ANY(ARRAY(SELECT id FROM next))
                  AND status = ANY(%s) AND {past("n")} ORDER BY id FOR UPDATE SKIP LOCKED
        ), {children}
        DELETE FROM notifications AS n
        WHERE n.id > %s AND n.id <= %s AND n.id = {gone} AND n.status = ANY(%s)
        RETURNING n.id
        """,
        *(*among, most),
        *(*among, list(FINAL), *_ages(policy, policy.lateness)),
        *among * (len(TABLES) - 1),
        *(*among, list(FINAL)),
    )
    return len(deleted)


def _grown(bounds: Bounds) -> Iterator[Step]:
    try:
        begun = blocks.grow(bounds.size, bounds.lock_timeout, bounds.time_limit)
    except Contended:
        yield Step("contended")
    else:
        if begun is not None:
            yield Step("begun", block=begun.first)


def _ripe(block: Block, policy: Policy) -> bool:
    """Return whether a block has a bound and its newest row is past its age: a quick check."""
    if block.end is None or not policy.ages:
        return False
    newest = rows(f"SELECT {past('n')} FROM {_part(block)} AS n ORDER BY id DESC LIMIT 1", *_ages(policy))
    # An empty block has no row to keep.
    return not newest or bool(newest[0][0])


def _dropped(block: Block, policy: Policy, bounds: Bounds) -> int | None:
    """Drop a block and return about how many notifications it had; None if one of them must stay.

    Raises Contended.
    """
    with lasting(bounds.time_limit):
        _index(block)
        if _holds(block, policy, bounds.time_limit):
            return None
    # Building the index has counted all rows.
    [(count,)] = rows("SELECT greatest(0, reltuples)::bigint FROM pg_class WHERE oid = %s::regclass", _part(block))
    with hurrying(bounds.lock_timeout):
        blocks.lock()
        # A row may have been retried since the first check.
        if _holds(block, policy, bounds.lock_timeout):
            return None
        blocks.drop(block)
    return int(count)


def _index(block: Block) -> None:
    """Build the index that makes `_holds` fast. Only old blocks have it: it would slow down sending."""
    name = f"{_part(block)}_finished"
    [(valid,)] = rows("SELECT (SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s))", name)
    if valid:
        return
    rows(f"DROP INDEX IF EXISTS {name}")
    rows(f"CREATE INDEX CONCURRENTLY {name} ON {qualified(_part(block))} USING brin (finished_at)")


def _holds(block: Block, policy: Policy, seconds: float) -> bool:
    """Return whether a block holds a row that must stay, within `seconds`. Each condition has an index."""
    part, ages = _part(block), policy.ages
    conditions = ["status = 'pending'", "status = 'processing'"]
    conditions += [f"status = '{state}'" for state in FINAL if state not in ages]
    conditions += [f"status = '{state}' AND finished_at >= now() - %s * interval '1 second'" for state in ages]
    with database.atomic():
        before = rows("SELECT current_setting('statement_timeout')")
        rows("SET LOCAL enable_seqscan = off; SET LOCAL jit = off")
        rows("SELECT set_config('statement_timeout', %s, true)", f"{max(1, round(seconds * 1000))}ms")
        [(holds,)] = rows(
            f"SELECT {' OR '.join(f'EXISTS (SELECT FROM {part} WHERE {condition})' for condition in conditions)}",
            *ages.values(),
        )
        rows("SELECT set_config('statement_timeout', %s, true)", *before[0])
    return bool(holds)


def _estimated(block: Block, policy: Policy) -> int:
    count = 0
    for state, age in policy.ages.items():
        [(plan,)] = rows(
            f"EXPLAIN (FORMAT JSON) SELECT FROM {_part(block)}"
            " WHERE status = %s AND finished_at < now() - %s * interval '1 second'",
            state,
            age + policy.lateness,
        )
        count += int(plan[0]["Plan"]["Plan Rows"])
    return count


def _part(block: Block) -> str:
    return block.named("notifications")
