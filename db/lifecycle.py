"""The life of a notification: one function per arrow, each a single guarded statement.

                accept              claim                  sent
    (client) ----------> pending ----------> processing ----------> sent
           |              ^ | ^ |              | | |
           |      redrive | | | +-- cancel     | | +-- failed: rejected, exhausted, outcome-unknown
           |              | | |  -> cancelled  | |
                          | | +----------------+ |   retry; release; rescue (its worker died)
           |              | +-- expire, suppress +-- rescue, its attempts spent
           |              |         |            |
           +--------------+-> failed <-----------+
            accept: the recipient is suppressed

Losing a race is a value: a function returns what it moved, and what it did not move is not in it.
Who settles must still own the claim: the row is `processing` and its `claim` is the one that was
handed out. All times are seconds, measured on the database's clock alone. Every function is one
statement, so it is its own transaction; call it within `connection()`.

Statements find their rows by id first (MATERIALIZED) and look at the status after: a plan that
started from the status would read a whole backlog when statistics are old. Locks are taken in the
order of ids, so that two of these statements never wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from db.database import rows
from db.records import COLUMN_TYPES, Accepted, Attempt, Claimed, Draft, Settlement

_DRAFTED = ", ".join(Draft._fields)
_DRAFT_ARRAYS = ", ".join(f"%s::{COLUMN_TYPES[name]}[]" for name in Draft._fields)
_CLAIMED = ", ".join(f"n.{name}" for name in Claimed._fields)

_HANDED_BACK = """status = 'pending', claimed_at = NULL, claimed_by = NULL, in_doubt_since = NULL,
            next_attempt_at = now(), dispatch_after = now(), rung = false"""

_HELD = """held AS MATERIALIZED (
            SELECT id, status, claim FROM notifications WHERE id = ANY(%s) ORDER BY id FOR UPDATE
        )"""


# Whoever asks whether a recipient is suppressed asks for one key: LIMIT keeps the planner from reading the list.
_LISTED = """LATERAL (
            SELECT s.reason FROM suppressions AS s
            WHERE s.client_id = {0}.client_id AND s.address = coalesce({0}.mailbox, {0}.recipient)
              AND (s.expires_at IS NULL OR s.expires_at > now()) LIMIT 1
        ) AS listed"""
_SUPPRESSED = "'the recipient is on the suppression list: ' || listed.reason"


# In the order of the key, after all rows are held: two such statements never wait for each other.
_BOUNCED = """INSERT INTO suppressions AS s (client_id, address, reason, source)
            SELECT DISTINCT ON (client_id, address)
                   client_id, address, 'bounced', 'notification ' || settled.id || ': ' || v.text
            FROM settled JOIN verdict AS v USING (id, claim)
            WHERE v.suppress ORDER BY client_id, address, settled.id
            ON CONFLICT (client_id, address) DO UPDATE
            SET reason = excluded.reason, source = excluded.source, created_at = now(), expires_at = NULL
            WHERE s.expires_at <= now()"""


def accept(drafts: Sequence[Draft], grace: float) -> list[Accepted]:
    """(client) -> pending, or -> failed (suppressed) where the recipient is on the client's suppression list.

    Rung by the caller, which leaves alone what has failed; by the relay if it is still pending after `grace`.
    """
    # Identity values are drawn in the order of the sorted rows, so sorting by id gives the drafts' order back.
    accepted = rows(
        f"""
        INSERT INTO notifications ({_DRAFTED}, status, next_attempt_at, dispatch_after,
                                   failure_reason, last_error, finished_at)
        SELECT {_DRAFTED},
               CASE WHEN listed IS NULL THEN 'pending' ELSE 'failed' END,
               CASE WHEN listed IS NULL THEN now() END,
               CASE WHEN listed IS NULL THEN now() + %s * interval '1 second' END,
               CASE WHEN listed IS NOT NULL THEN 'suppressed' END,
               {_SUPPRESSED},
               CASE WHEN listed IS NOT NULL THEN now() END
        FROM unnest({_DRAFT_ARRAYS}) WITH ORDINALITY AS draft ({_DRAFTED}, place)
             LEFT JOIN {_LISTED.format("draft")} ON true
        ORDER BY place
        RETURNING id, created_at, failure_reason, last_error
        """,
        grace,
        *_columns(drafts),
    )
    return sorted(Accepted(*row) for row in accepted)


def claim(ids: Iterable[int], worker: UUID) -> list[Claimed]:
    """pending -> processing, for those that are due, not too late and not suppressed, in the order of their ids.

    A row that another transaction is moving is left alone: whoever moves it takes care of it. What was
    asked for and not claimed is for `suppress` to look at.
    """
    claimed = rows(
        f"""
        WITH asked AS MATERIALIZED (
            SELECT id, status, next_attempt_at, expires_at, client_id, mailbox, recipient FROM notifications
            WHERE id = ANY(%s) ORDER BY id FOR UPDATE SKIP LOCKED
        )
        UPDATE notifications AS n
        SET status = 'processing', claim = n.claim + 1, claimed_at = now(), claimed_by = %s,
            next_attempt_at = NULL, dispatch_after = NULL
        FROM asked LEFT JOIN {_LISTED.format("asked")} ON true
        WHERE n.id = asked.id AND asked.status = 'pending' AND asked.next_attempt_at <= now()
              AND (asked.expires_at IS NULL OR asked.expires_at > now()) AND listed IS NULL
        RETURNING {_CLAIMED}
        """,
        list(ids),
        str(worker),
    )
    return sorted(Claimed(*row) for row in claimed)


def suppress(ids: Iterable[int]) -> list[int]:
    """pending -> failed (suppressed), for those that are due and whose recipient was put on the list meanwhile.

    For whoever has asked to claim them and was refused: the bell of such a row is rung until it is moved.
    """
    return _ids(
        f"""
        WITH asked AS MATERIALIZED (
            SELECT id, status, next_attempt_at, client_id, mailbox, recipient FROM notifications
            WHERE id = ANY(%s) ORDER BY id FOR UPDATE SKIP LOCKED
        )
        UPDATE notifications AS n
        SET status = 'failed', failure_reason = 'suppressed', finished_at = now(),
            last_error = {_SUPPRESSED}, next_attempt_at = NULL, dispatch_after = NULL
        FROM asked, {_LISTED.format("asked")}
        WHERE n.id = asked.id AND asked.status = 'pending' AND asked.next_attempt_at <= now()
        RETURNING n.id
        """,
        list(ids),
    )


def sent(claimed: Claimed, attempt: Attempt) -> Settlement:
    """processing -> sent"""
    return Settlement(claimed.id, claimed.claim, "sent", attempt)


def retry(claimed: Claimed, attempt: Attempt, delay: float) -> Settlement:
    """processing -> pending, due again in `delay` seconds; the attempt counts."""
    return Settlement(claimed.id, claimed.claim, "pending", attempt, delay=delay)


def failed(claimed: Claimed, attempt: Attempt, reason: str) -> Settlement:
    """processing -> failed: `rejected`, `exhausted` or `outcome-unknown`"""
    return Settlement(claimed.id, claimed.claim, "failed", attempt, reason=reason)


def bounced(claimed: Claimed, attempt: Attempt) -> Settlement:
    """processing -> failed (rejected), and the recipient goes on the client's suppression list."""
    return Settlement(claimed.id, claimed.claim, "failed", attempt, reason="rejected", suppress=True)


def settle(settlements: Sequence[Settlement], grace: float, now: float) -> set[tuple[int, int]]:
    """Record each outcome and its attempt in one statement; returns (id, claim) of those still owned.

    `now` is this process's `time.monotonic()`, against which the attempts' times are measured.
    """
    recorded = rows(
        f"""
        WITH verdict AS MATERIALIZED (
            SELECT * FROM unnest(
                %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::float8[], %s::text[], %s::uuid[],
                %s::text[], %s::float8[], %s::float8[], %s::text[], %s::int[], %s::text[], %s::text[],
                %s::boolean[]
            ) AS v (id, claim, status, reason, delay, outcome, worker,
                    provider, started_ago, finished_ago, phase, reply_code, enhanced_code, text, suppress)
        ), {_HELD}, settled AS (
            UPDATE notifications AS n
            SET status = v.status, claimed_at = NULL, claimed_by = NULL, in_doubt_since = NULL,
                attempt_count = n.attempt_count + 1,
                retry_count = n.retry_count + (v.status = 'pending')::int,
                last_error = CASE WHEN v.status = 'sent' THEN n.last_error ELSE v.text END,
                failure_reason = v.reason,
                next_attempt_at = now() + v.delay * interval '1 second',
                dispatch_after = now() + (v.delay + %s) * interval '1 second',
                finished_at = CASE WHEN v.status <> 'pending' THEN now() END
            FROM held JOIN verdict AS v USING (id, claim)
            WHERE n.id = held.id AND held.status = 'processing'
            RETURNING n.id, n.claim, n.attempt_count, n.client_id, coalesce(n.mailbox, n.recipient) AS address
        ), bounced AS (
            {_BOUNCED}
        )
        INSERT INTO attempts (notification_id, number, outcome, worker, provider, started_at, finished_at,
                              phase, reply_code, enhanced_code, text)
        SELECT settled.id, settled.attempt_count, v.outcome, v.worker, v.provider,
               now() - v.started_ago * interval '1 second', now() - v.finished_ago * interval '1 second',
               v.phase, v.reply_code, v.enhanced_code, v.text
        FROM settled JOIN verdict AS v USING (id, claim)
        RETURNING notification_id
        """,
        *_columns([s.values(now) for s in settlements]),
        [s.id for s in settlements],
        grace,
    )
    owned = {row[0] for row in recorded}
    return {(s.id, s.claim) for s in settlements if s.id in owned}


def doubt(claims: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
    """processing -> processing, in doubt: from now on nobody can know whether it was sent, until it is settled.

    For `hold`, before the body goes out. Returns the (id, claim) pairs still owned; no other may be sent.
    """
    owned = _ids(
        f"""
        WITH {_HELD}
        UPDATE notifications AS n SET in_doubt_since = now()
        FROM held JOIN unnest(%s::bigint[], %s::bigint[]) AS given (id, claim) USING (id, claim)
        WHERE n.id = held.id AND held.status = 'processing'
        RETURNING n.id
        """,
        *_by_claim(claims),
    )
    return {(id, claim) for id, claim in claims if id in owned}


def release(claims: Sequence[tuple[int, int]]) -> list[int]:
    """processing -> pending for (id, claim) pairs that were not begun; costs no attempt. Returns the ids."""
    return _ids(
        f"""
        WITH {_HELD}
        UPDATE notifications AS n
        SET {_HANDED_BACK}
        FROM held JOIN unnest(%s::bigint[], %s::bigint[]) AS given (id, claim) USING (id, claim)
        WHERE n.id = held.id AND held.status = 'processing'
        RETURNING n.id
        """,
        *_by_claim(claims),
    )


def release_unheld(worker: UUID, held: Iterable[int]) -> list[int]:
    """processing -> pending for what `worker` claimed and never heard of: the answer to a claim was lost.

    `held` are the ids the worker knows it holds. Only its claiming thread may call this, or a claim
    under way would be taken for a lost one.
    """
    return _ids(
        f"""
        UPDATE notifications
        SET {_HANDED_BACK}
        WHERE status = 'processing' AND claimed_by = %s AND id <> ALL(%s::bigint[])
        RETURNING id
        """,
        str(worker),
        list(held),
    )


def rescue(observer: UUID, worker_timeout: float, stuck_after: float, max_attempts: int, most: int) -> list[int]:
    """processing -> pending, where the worker is dead or hangs; or failed, once its attempts are spent or if
    it was in doubt.

    Dead is a worker that was not seen for `worker_timeout`. Only an `observer` who was itself seen
    all that time may say so: after an outage of the database every heartbeat is old, and nobody died.
    The lost attempt is recorded, because it may have been made. What is lost a second time may be
    what kills the workers, or only its neighbour: from then on they come back apart, each at a moment
    drawn from a span that doubles, so that the one does not take the others with it again.
    """
    return _ids(
        """
        WITH abandoned AS MATERIALIZED (
            SELECT id FROM notifications AS n
            WHERE status = 'processing'
              AND (claimed_at < now() - %s * interval '1 second'
                   OR NOT EXISTS (SELECT FROM workers AS w WHERE w.id = n.claimed_by
                                  AND w.seen_at > now() - %s * interval '1 second'))
              AND EXISTS (SELECT FROM workers AS w WHERE w.id = %s
                          AND w.steady_since < now() - %s * interval '1 second')
            ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
        ), rescued AS (
            UPDATE notifications AS n
            SET status = CASE WHEN ended IS NULL THEN 'pending' ELSE 'failed' END,
                claimed_at = NULL, claimed_by = NULL, in_doubt_since = NULL, alone = true, rung = false,
                attempt_count = attempt_count + 1,
                retry_count = retry_count + (ended IS NULL)::int,
                last_error = 'the worker died or hung while it held this notification',
                failure_reason = ended,
                next_attempt_at = CASE WHEN ended IS NULL THEN due END,
                dispatch_after = CASE WHEN ended IS NULL THEN due END,
                finished_at = CASE WHEN ended IS NOT NULL THEN now() END
            FROM (SELECT id, n.claimed_by AS worker, n.claimed_at AS since,
                         now() + random() * (2 ^ n.retry_count - 1) * %s * interval '1 second' AS due,
                         CASE WHEN n.in_doubt_since IS NOT NULL THEN 'outcome-unknown'
                              WHEN n.retry_count + 1 >= %s THEN 'exhausted' END AS ended
                  FROM abandoned JOIN notifications AS n USING (id)) AS lost
            WHERE n.id = lost.id
            RETURNING n.id, n.attempt_count, lost.worker, lost.since, n.type, n.last_error
        )
        INSERT INTO attempts (notification_id, number, outcome, worker, provider, started_at, finished_at, text)
        SELECT id, attempt_count, 'lost', worker, type, since, now(), last_error FROM rescued
        RETURNING notification_id
        """,
        stuck_after,
        worker_timeout,
        str(observer),
        worker_timeout,
        most,
        worker_timeout,
        max_attempts,
    )


def expire(most: int) -> list[int]:
    """pending -> failed (expired), for what is too late to send."""
    return _ids(
        """
        UPDATE notifications
        SET status = 'failed', failure_reason = 'expired', finished_at = now(),
            next_attempt_at = NULL, dispatch_after = NULL
        WHERE id IN (SELECT id FROM notifications WHERE status = 'pending' AND expires_at <= now()
                     ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
        RETURNING id
        """,
        most,
    )


def cancel(id: int) -> bool:
    """pending -> cancelled: once this is true it is never sent."""
    return bool(
        _ids(
            """
            UPDATE notifications
            SET status = 'cancelled', finished_at = now(), next_attempt_at = NULL, dispatch_after = NULL
            WHERE id = %s AND status = 'pending' RETURNING id
            """,
            id,
        )
    )


def redrive(id: int, grace: float) -> bool:
    """failed -> pending with a new budget of attempts: an operator's retry. Rung by the caller, or after `grace`."""
    return bool(
        _ids(
            """
            UPDATE notifications
            SET status = 'pending', retry_count = 0, failure_reason = NULL, finished_at = NULL,
                next_attempt_at = now(), dispatch_after = now() + %s * interval '1 second'
            WHERE id = %s AND status = 'failed' RETURNING id
            """,
            grace,
            id,
        )
    )


def _by_claim(claims: Sequence[tuple[int, int]]) -> tuple[list[int], list[int], list[int]]:
    ids, numbers = [id for id, _ in claims], [claim for _, claim in claims]
    return ids, ids, numbers


def _columns(records: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*records, strict=True)]


def _ids(sql: str, *parameters: object) -> list[int]:
    return [row[0] for row in rows(sql, *parameters)]
