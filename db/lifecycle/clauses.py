"""SQL clauses that several transitions share, and their parameters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from db.database import rows

# For SET: the columns that only a claimed row has.
UNCLAIMED = (
    "claimed_at = NULL, claimed_by = NULL, claimed_list = NULL, claimed_provider = NULL, in_doubt_since = NULL,"
    " doubt_until = NULL"
)

# For SET (alias n): until when a row waits for evidence, counted from the first attempt without an answer. No worker
# may claim it from then on, so `next_attempt_at` is this moment too.
KEPT_UNTIL = "coalesce(n.evidence_until, n.doubt_until, now())"
# For SET: when the relay enqueues it. It never should: a day later, so that workers of a version before
# 0059_unanswered, which know nothing of the wait, leave the row to those that do.
NOT_BEFORE = f"{KEPT_UNTIL} + interval '1 day'"

# For WHERE. The ids alone would do, but a range lets the planner skip the blocks (partitions) that hold none of them.
# Parameters: see `span`.
WITHIN = "n.id BETWEEN %s AND %s"

# For WITH: the rows, locked in id order. Parameter: their ids.
HELD = """held AS MATERIALIZED (
            SELECT id, status, claim FROM notifications WHERE id = ANY(%s) ORDER BY id FOR UPDATE
        )"""


def span(ids: Iterable[int]) -> tuple[int, int]:
    """Return the lowest and the highest id, for WITHIN; zeros if there are none."""
    among = list(ids)
    return min(among, default=0), max(among, default=0)


def by_claim(claims: Sequence[tuple[int, int]]) -> tuple[object, ...]:
    """Return the parameters of a statement that joins HELD with (id, claim) pairs and ends with WITHIN."""
    ids, numbers = [id for id, _ in claims], [claim for _, claim in claims]
    return ids, ids, numbers, *span(ids)


def returned_ids(sql: str, *parameters: object) -> list[int]:
    """Run a statement and return the first column of its rows."""
    return [row[0] for row in rows(sql, *parameters)]
