"""The life of a notification: one function per arrow, each a single guarded statement.

                accept              claim                  sent
    (client) ----------> pending ----------> processing ----------> sent
           |              ^ | ^ |              | | |
           |      redrive | | | +-- cancel     | | +-- failed: rejected, exhausted, outcome-unknown
           |              | | |  -> cancelled  | |
                          | | +----------------+ |   retry; release, postpone; rescue (its worker died)
           |              | +-- expire, suppress +-- rescue, its attempts spent
           |              |         |            |
           +--------------+-> failed <-----------+
            accept: the recipient is suppressed

Losing a race is a value: a function returns what it moved, and what it did not move is not in it.
Who settles must still own the claim: the row is `processing` and its `claim` is the one that was
handed out. All times are seconds, measured on the database's clock alone. Every function is one
statement, so it is its own transaction; call it within `connection()`. `only_sandbox`: asked for
with a key for tests, which moves nothing that goes out.

Statements find their rows by id first (MATERIALIZED) and look at the status after: a plan that
started from the status would read a whole backlog when statistics are old. Locks are taken in the
order of ids, so that two of these statements never wait for each other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from uuid import UUID

from db import failures, workers
from db.database import IN_ORDER, rows
from db.drafts import FATE_COLUMNS, Group, fate, source
from db.pauses import paused
from db.prepared import prepared
from db.records import CLAIMED_COLUMNS, DRAFT_COLUMNS, Accepted, Attempt, Claimed, Draft, Sending, Settlement, Times
from db.reports import Position
from db.suppressions import listed, recipient
from db.telling import TELL, note
from db.verdicts import verdicts

DRAFTED = ", ".join(DRAFT_COLUMNS)
# For RETURNING of the statements that accept: what Accepted holds, and two columns more.
ACCEPTED = f"""n.id, n.created_at, n.failure_reason, n.last_error, CASE WHEN n.status = 'failed' THEN {TELL} END,
               {note("CASE n.status WHEN 'failed' THEN 'failed' ELSE 'accepted' END")}"""
_CLAIMED = ", ".join(f"n.{name}" for name in CLAIMED_COLUMNS)
_THROTTLED_FOR = "coalesce(extract(epoch FROM clock_timestamp() - n.throttled_since), 0)::float8"
_LATE = "greatest(0, extract(epoch FROM clock_timestamp() - asked.next_attempt_at))::float8"

# Acts of operators on one notification: each leaves an event, and whoever reads its story reads them all.
MOST_ACTS = 1_000

# Notifications that a connection may be ahead of what is recorded: so many of each can be in doubt after a kill.
AHEAD = 2

_UNCLAIMED = "claimed_at = NULL, claimed_by = NULL, claimed_list = NULL, in_doubt_since = NULL"
_HANDED_BACK = f"""status = 'pending', {_UNCLAIMED},
            next_attempt_at = now(), dispatch_after = now(), rung = false"""

# Whether there is room for one more event of the notification `id`; ORDER BY has it look into their index.
_NOTABLE = f"NOT EXISTS (SELECT FROM events WHERE notification_id = {{id}} ORDER BY at, id OFFSET {MOST_ACTS - 1})"

_ANEW = f"""status = 'pending', retry_count = 0, failure_reason = NULL, finished_at = NULL, parked = false,
            {_UNCLAIMED}, throttled_since = NULL, next_attempt_at = now()"""

# The failure that a retry ends stands only there from then on. Parameter: the key that the operator came with.
_NOTED_RETRY = """INSERT INTO events (notification_id, name, detail)
            SELECT id, 'retried', jsonb_build_object(
                'failureReason', failure_reason, 'failedAt', finished_at, 'keyId', %s::bigint)
            FROM redriven JOIN failed USING (id)"""

# Nothing that the ids do not say already, but it keeps the planner from the blocks that hold none of them.
_WITHIN = "n.id BETWEEN %s AND %s"

_HELD = """held AS MATERIALIZED (
            SELECT id, status, claim FROM notifications WHERE id = ANY(%s) ORDER BY id FOR UPDATE
        )"""


_SENDING = """INSERT INTO sending AS s (worker, ids) VALUES (%s, %s::bigint[])
            ON CONFLICT (worker) DO UPDATE SET ids = excluded.ids, at = now()"""

# In the order of the key, after all rows are held: two such statements never wait for each other.
_BOUNCED = """, bounced AS (
            INSERT INTO suppressions AS s (client_id, address, reason, source)
            SELECT DISTINCT ON (client_id, address)
                   client_id, address, 'bounced', 'notification ' || settled.id || ': ' || v.text
            FROM settled JOIN verdict AS v USING (id, claim)
            WHERE v.suppress ORDER BY client_id, address, settled.id
            ON CONFLICT (client_id, address) DO UPDATE
            SET reason = excluded.reason, source = excluded.source, created_at = now(), expires_at = NULL
            WHERE s.expires_at <= now()
        )"""
_WHOSE = f", n.client_id, {recipient('n')} AS address"


def accept(drafts: Sequence[Draft], grace: float, left: Collection[Group] = ()) -> list[Accepted]:
    """(client) -> pending, or -> failed (suppressed) where a recipient is on the client's suppression list.

    Rung by the caller, which leaves alone what has failed; by the relay if it is still pending after
    `grace`, or at once where it is one of `left`. For drafts without keys and attachments; the others
    go through idempotency.accept_once. What is to be sent later is rung by the relay, when it is due.
    """
    # Identity values are drawn in the order of the sorted rows, so sorting by id gives the drafts' order back.
    given, becomes = source(drafts), fate(grace, left)
    accepted = prepared(
        "accept",
        f"""
        INSERT INTO notifications AS n ({DRAFTED}, {FATE_COLUMNS})
        SELECT {DRAFTED}, {becomes.sql} FROM {given.sql} ORDER BY place
        RETURNING {ACCEPTED}
        """,
        *becomes.values,
        *given.values,
    )
    return sorted(Accepted(*row) for *row, _, _ in accepted)


def claim(
    ids: Iterable[int],
    worker: UUID,
    at_once: Collection[int] | None = None,
    if_sandbox: Iterable[int] = (),
) -> list[Claimed]:
    """pending -> processing, for those that are due, not too late, not paused and not suppressed, in the order of ids.

    `at_once` are those that may be begun as soon as they are claimed, by default all. The others must stand in
    `sending` before they are begun. Of `if_sandbox` only what is for the sandbox, which no breaker keeps from
    being sent. A row that another transaction is moving is left alone: whoever moves it takes care of it.
    What was asked for and not claimed is for `suppress` to look at.
    """
    asked = list(dict.fromkeys(ids))
    begun = asked if at_once is None else at_once
    marks = [-id if id in begun else None for id in asked]
    claimed = prepared(
        "claim",
        f"""
        WITH asked AS MATERIALIZED (
            SELECT id, status, next_attempt_at, expires_at, client_id, type, recipient, mailboxes FROM notifications
            WHERE id = ANY(%s) AND (sandbox OR id <> ALL(%s::bigint[])) ORDER BY id FOR UPDATE SKIP LOCKED
        )
        UPDATE notifications AS n
        SET status = 'processing', claim = n.claim + 1, claimed_at = now(), claimed_by = %s,
            claimed_list = given.mark, next_attempt_at = NULL, dispatch_after = NULL, parked = false,
            -- Of what is retried at this moment PostgreSQL checks the row as it failed before it finds the new one.
            failure_reason = NULL, finished_at = NULL
        FROM asked JOIN unnest(%s::bigint[], %s::bigint[]) AS given (id, mark) USING (id)
             LEFT JOIN {listed("asked")} ON true
        WHERE n.id = asked.id AND {_WITHIN} AND asked.status = 'pending' AND asked.next_attempt_at <= now()
              AND (asked.expires_at IS NULL OR asked.expires_at > now())
              AND NOT {paused("asked")} AND listed.error IS NULL
        RETURNING {_CLAIMED}, {_THROTTLED_FOR}, {_LATE}, {note("'claimed'")}
        """,
        asked,
        list(if_sandbox),
        str(worker),
        asked,
        marks,
        *_span(asked),
    )
    return sorted(Claimed(*row) for *row, _ in claimed)


def suppress(ids: Iterable[int]) -> list[int]:
    """pending -> failed (suppressed), for those that are due and of whose recipients one was put on the list meanwhile.

    For whoever has asked to claim them and was refused: the bell of such a row is rung until it is moved.
    """
    given = list(ids)
    return _ids(
        f"""
        WITH asked AS MATERIALIZED (
            SELECT id, status, next_attempt_at, client_id, recipient, mailboxes FROM notifications
            WHERE id = ANY(%s) ORDER BY id FOR UPDATE SKIP LOCKED
        )
        UPDATE notifications AS n
        SET status = 'failed', failure_reason = 'suppressed', finished_at = now(),
            last_error = listed.error, next_attempt_at = NULL, dispatch_after = NULL, parked = false,
            {_UNCLAIMED}
        FROM asked, {listed("asked")}
        WHERE n.id = asked.id AND {_WITHIN} AND asked.status = 'pending' AND asked.next_attempt_at <= now()
        RETURNING n.id, {TELL}, {note("'failed'")}
        """,
        given,
        *_span(given),
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


def settle(
    settlements: Sequence[Settlement], grace: float, now: float, sending: Sending | None = None
) -> set[tuple[int, int]]:
    """Record each outcome and its attempt in one statement; returns (id, claim) of those still owned.

    `now` is this process's `time.monotonic()`, against which the attempts' times are measured. `sending` is
    recorded with them: its notifications may be begun afterwards.
    """
    given, bounces = verdicts(settlements, now), any(s.suppress for s in settlements)
    recorded = prepared(
        "settle",
        f"""
        WITH verdict AS MATERIALIZED ({given.sql}), {_HELD}, settled AS (
            UPDATE notifications AS n
            SET status = v.status, {_UNCLAIMED},
                attempt_count = n.attempt_count + 1,
                retry_count = n.retry_count + (v.status = 'pending')::int,
                last_error = CASE WHEN v.status = 'sent' THEN n.last_error ELSE v.text END,
                failure_reason = v.reason,
                next_attempt_at = now() + v.delay * interval '1 second',
                dispatch_after = now() + (v.delay + %s) * interval '1 second',
                throttled_since = NULL,
                finished_at = CASE WHEN v.status <> 'pending' THEN now() END
            FROM held JOIN verdict AS v USING (id, claim)
            WHERE n.id = held.id AND {_WITHIN} AND held.status = 'processing'
            RETURNING n.id, n.claim, n.attempt_count{_WHOSE if bounces else ""}, {TELL},
                      {note("CASE n.status WHEN 'pending' THEN 'retry' ELSE n.status END")}
        ){_BOUNCED if bounces else ""}{f", begun AS ({_SENDING})" if sending else ""}
        INSERT INTO attempts (notification_id, number, outcome, worker, provider, started_at, finished_at,
                              phase, reply_code, enhanced_code, text)
        SELECT settled.id, settled.attempt_count, v.outcome, v.worker, v.provider,
               now() - v.started_ago * interval '1 second', now() - v.finished_ago * interval '1 second',
               v.phase, v.reply_code, v.enhanced_code, v.text
        FROM settled JOIN verdict AS v USING (id, claim)
        RETURNING notification_id
        """,
        *given.values,
        [s.id for s in settlements],
        grace,
        *_span(s.id for s in settlements),
        *_sending(sending),
    )
    owned = {row[0] for row in recorded}
    return {(s.id, s.claim) for s in settlements if s.id in owned}


def begin(sending: Sending) -> None:
    """Record what a worker may begin now; it replaces what was recorded of this worker before."""
    prepared("begin", _SENDING, *_sending(sending))


def doubt(claims: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
    """processing -> processing, in doubt: from now on nobody can know whether it was sent, until it is settled.

    For `hold`, before the body goes out. Returns the (id, claim) pairs still owned; no other may be sent.
    """
    owned = _ids(
        f"""
        WITH {_HELD}
        UPDATE notifications AS n SET in_doubt_since = now()
        FROM held JOIN unnest(%s::bigint[], %s::bigint[]) AS given (id, claim) USING (id, claim)
        WHERE n.id = held.id AND {_WITHIN} AND held.status = 'processing'
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
        WHERE n.id = held.id AND {_WITHIN} AND held.status = 'processing'
        RETURNING n.id, {note("'released'")}
        """,
        *_by_claim(claims),
    )


def postpone(claims: Sequence[tuple[int, int]], delay: float, text: str) -> list[int]:
    """processing -> pending, due again in `delay` seconds, for (id, claim) pairs that were refused for our rate alone.

    Costs no attempt; since when this has gone on is kept. Returns the ids.
    """
    return _ids(
        f"""
        WITH {_HELD}
        UPDATE notifications AS n
        SET status = 'pending', {_UNCLAIMED}, rung = false, last_error = %s,
            throttled_since = coalesce(n.throttled_since, now()),
            next_attempt_at = now() + %s * interval '1 second', dispatch_after = now() + %s * interval '1 second'
        FROM held JOIN unnest(%s::bigint[], %s::bigint[]) AS given (id, claim) USING (id, claim)
        WHERE n.id = held.id AND {_WITHIN} AND held.status = 'processing'
        RETURNING n.id, {note("'released'")}
        """,
        [id for id, _ in claims],
        text,
        delay,
        delay,
        *_by_claim(claims)[1:],
    )


def release_unheld(worker: UUID, held: Iterable[int]) -> list[int]:
    """processing -> pending for what `worker` claimed and never heard of: the answer to a claim was lost.

    `held` are the ids the worker knows it holds. Only its claiming thread may call this, or a claim
    under way would be taken for a lost one.
    """
    return _ids(
        f"""
        UPDATE notifications AS n
        SET {_HANDED_BACK}
        WHERE status = 'processing' AND claimed_by = %s AND id <> ALL(%s::bigint[])
        RETURNING n.id, {note("'released'")}
        """,
        str(worker),
        list(held),
    )


def rescue(  # noqa: PLR0913, PLR0917
    observer: UUID,
    worker_timeout: float,
    stuck_after: float,
    max_attempts: int,
    most: int,
    callback_attempts: int | None = None,
) -> list[int]:
    """processing -> pending, where the worker is dead or hangs; or failed, once its attempts are spent or if
    it was in doubt.

    Dead is a worker that was not seen for its own WORKER_TIMEOUT (`worker_timeout`, the observer's, where it told
    none), and it hangs where it has held a row for its own STUCK_AFTER (likewise) and does not say that it has the
    outcome and cannot record it. Only an `observer` who was itself seen all that time may say so: after an outage
    of the database every heartbeat is old, and nobody died.
    What such a worker may have begun, its row or `sending` says: that attempt is recorded as lost, because
    it may have been made. The others go back at no cost. What is lost a second time may be what kills the
    workers, or only its neighbour: from then on they come back apart, each at a moment drawn from a span that
    doubles, so that the one does not take the others with it again.
    """
    return _ids(
        f"""
        WITH dead AS MATERIALIZED (
            SELECT id, claim, in_doubt_since IS NOT NULL OR coalesce(claimed_list < 0, false)
                              OR EXISTS (SELECT FROM sending AS s WHERE s.worker = n.claimed_by AND n.id = ANY(s.ids))
                              -- Of a worker of a version before 0027_sending: see there.
                              OR (coalesce(claimed_list >= 0, false)
                                  AND rank() OVER (PARTITION BY claimed_by, claimed_list ORDER BY id) <= {AHEAD})
                              AS begun
            FROM notifications AS n
            WHERE status = 'processing'
              AND ({workers.stuck("n.id", "n.claimed_by", "n.claimed_at")}
                   OR {workers.lost("n.claimed_by")})
        ), abandoned AS MATERIALIZED (
            SELECT n.id, begun FROM dead JOIN notifications AS n USING (id, claim)
            WHERE n.status = 'processing' ORDER BY begun, n.id LIMIT %s FOR UPDATE OF n SKIP LOCKED
        ), rescued AS (
            UPDATE notifications AS n
            SET status = CASE WHEN ended IS NULL THEN 'pending' ELSE 'failed' END, {_UNCLAIMED},
                alone = n.alone OR begun, rung = false,
                attempt_count = attempt_count + begun::int,
                retry_count = retry_count + (begun AND ended IS NULL)::int,
                last_error = CASE WHEN begun THEN 'the worker died or hung while it held this notification'
                                  ELSE n.last_error END,
                failure_reason = ended,
                next_attempt_at = CASE WHEN ended IS NULL THEN due END,
                dispatch_after = CASE WHEN ended IS NULL THEN due END,
                finished_at = CASE WHEN ended IS NOT NULL THEN now() END
            FROM (SELECT id, begun, n.claimed_by AS worker, n.claimed_at AS since,
                         now() + begun::int * random() * (2 ^ n.retry_count - 1) * %s * interval '1 second' AS due,
                         CASE WHEN n.in_doubt_since IS NOT NULL THEN 'outcome-unknown'
                              WHEN begun AND n.retry_count + 1 >= CASE n.type WHEN 'callback' THEN %s ELSE %s END
                              THEN 'exhausted' END AS ended
                  FROM abandoned JOIN notifications AS n USING (id)) AS lost
            WHERE n.id = lost.id
            RETURNING n.id, begun, n.attempt_count, lost.worker, lost.since, n.type, n.last_error, {TELL},
                      {note("CASE n.status WHEN 'failed' THEN 'failed' ELSE 'rescued' END")}
        ), recorded AS (
            INSERT INTO attempts (notification_id, number, outcome, worker, provider, started_at, finished_at, text)
            SELECT id, attempt_count, 'lost', worker, type, since, now(), last_error FROM rescued WHERE begun
        )
        SELECT id FROM rescued
        """,
        *(str(observer), worker_timeout, stuck_after),
        *(worker_timeout, str(observer), worker_timeout, worker_timeout),
        most,
        worker_timeout,
        max_attempts if callback_attempts is None else callback_attempts,
        max_attempts,
    )


def expire(most: int) -> list[int]:
    """pending -> failed (expired), for what is too late to send."""
    return _ids(
        f"""
        {IN_ORDER}
        WITH late AS MATERIALIZED (
            SELECT id FROM notifications WHERE status = 'pending' AND expires_at <= now()
            ORDER BY expires_at LIMIT %s FOR UPDATE SKIP LOCKED
        )
        UPDATE notifications AS n
        SET status = 'failed', failure_reason = 'expired', finished_at = now(),
            next_attempt_at = NULL, dispatch_after = NULL
        WHERE n.id = ANY(ARRAY(SELECT id FROM late))
        RETURNING n.id, {TELL}, {note("'failed'")}
        """,
        most,
    )


def cancel(id: int, client_id: int, key: int | None = None, *, only_sandbox: bool = False) -> bool:
    """pending -> cancelled: once this is true it is never sent.

    `key` is whose doing it is, and `only_sandbox` says that it may move nothing but what is for the
    sandbox; as for the two below.
    """
    return bool(
        _ids(
            f"""
            WITH cancelled AS (
                UPDATE notifications AS n
                SET status = 'cancelled', finished_at = now(), next_attempt_at = NULL, dispatch_after = NULL
                WHERE id = %s AND client_id = %s AND callback_id IS NULL AND (sandbox OR NOT %s)
                      AND status = 'pending'
                RETURNING n.id, {TELL}, {note("'cancelled'")}
            )
            INSERT INTO events (notification_id, name, detail)
            SELECT id, 'cancelled', jsonb_build_object('keyId', %s::bigint) FROM cancelled
            RETURNING notification_id
            """,
            id,
            client_id,
            only_sandbox,
            key,
        )
    )


def cancel_all(client_id: int, most: int, key: int | None = None) -> list[int]:
    """As `cancel`, for up to `most` of a client's, oldest first; those that are moved just then are left."""
    return _ids(
        f"""
        {IN_ORDER}
        WITH waiting AS MATERIALIZED (
            SELECT id FROM notifications
            WHERE client_id = %s AND status = 'pending' AND callback_id IS NULL ORDER BY created_at, id LIMIT %s
        ), held AS MATERIALIZED (
            SELECT n.id, n.status FROM notifications AS n
            WHERE n.id = ANY(ARRAY(SELECT id FROM waiting)) ORDER BY n.id FOR UPDATE
        ), cancelled AS (
            UPDATE notifications AS n
            SET status = 'cancelled', finished_at = now(), next_attempt_at = NULL, dispatch_after = NULL
            FROM held WHERE n.id = held.id AND held.status = 'pending'
            RETURNING n.id, {TELL}, {note("'cancelled'")}
        )
        INSERT INTO events (notification_id, name, detail)
        SELECT id, 'cancelled', jsonb_build_object('keyId', %s::bigint) FROM cancelled
        RETURNING notification_id
        """,
        client_id,
        most,
        key,
    )


def reschedule(id: int, client_id: int, times: Times, key: int | None = None, *, only_sandbox: bool = False) -> bool:
    """pending -> pending, due at another time or too late at another one; refuses what would be too late at once.

    Rung by the relay. What changes nothing leaves no event; MOST_ACTS events are enough.
    """
    return bool(
        _ids(
            f"""
            WITH wanted AS MATERIALIZED (
                SELECT id, send_at, expires_at, (send_at, expires_at) IS DISTINCT FROM (was_send_at, was_expires_at)
                       OR %s AND next_attempt_at > now() AND next_attempt_at <> greatest(send_at, now()) AS changed
                FROM (SELECT id, status, next_attempt_at, send_at AS was_send_at, expires_at AS was_expires_at,
                             CASE WHEN %s THEN %s::timestamptz ELSE send_at END AS send_at,
                             CASE WHEN %s THEN %s::timestamptz ELSE expires_at END AS expires_at
                      FROM notifications
                      WHERE id = %s AND client_id = %s AND callback_id IS NULL AND (sandbox OR NOT %s)
                            AND {_NOTABLE.format(id="notifications.id")}
                      FOR UPDATE) AS held
                WHERE status = 'pending' AND (expires_at IS NULL OR expires_at > greatest(send_at, now()))
            ), moved AS (
                UPDATE notifications AS n
                SET send_at = wanted.send_at, expires_at = wanted.expires_at,
                    next_attempt_at = CASE WHEN %s THEN greatest(wanted.send_at, now()) ELSE n.next_attempt_at END,
                    dispatch_after = CASE WHEN %s THEN greatest(wanted.send_at, now()) ELSE n.dispatch_after END,
                    rung = n.rung AND NOT %s, parked = n.parked AND NOT %s
                FROM wanted WHERE n.id = wanted.id AND n.status = 'pending' AND wanted.changed
                RETURNING n.id, n.send_at, n.expires_at, {note("'rescheduled'")}
            ), noted AS (
                INSERT INTO events (notification_id, name, detail)
                SELECT id, 'rescheduled', jsonb_build_object(
                    'sendAt', rfc3339(send_at), 'expiresAt', rfc3339(expires_at), 'keyId', %s::bigint) FROM moved
            )
            SELECT id FROM wanted
            """,
            times.sends,
            *times,
            id,
            client_id,
            only_sandbox,
            *[times.sends] * 4,
            key,
        )
    )


def redrive(  # noqa: PLR0913 - whose row, and on whose behalf
    id: int,
    client_id: int,
    grace: float,
    key: int | None = None,
    callback: int | None = None,
    *,
    only_sandbox: bool = False,
) -> bool:
    """failed -> pending with a new budget of attempts: an operator's retry. Rung by the caller, or after `grace`.

    Refuses what is too late by now, which would only fail again, and what MOST_ACTS were done to. A callback's goes
    to the endpoint `callback`.
    """
    return bool(
        _ids(
            f"""
            WITH failed AS MATERIALIZED (
                SELECT id, status, failure_reason, finished_at FROM notifications
                WHERE id = %s AND client_id = %s AND callback_id IS NOT DISTINCT FROM %s::bigint
                      AND (sandbox OR NOT %s)
                      AND (expires_at IS NULL OR expires_at > now()) AND {_NOTABLE.format(id="notifications.id")}
                FOR UPDATE
            ), redriven AS (
                UPDATE notifications AS n
                SET {_ANEW}, rung = true, dispatch_after = now() + %s * interval '1 second'
                FROM failed WHERE n.id = failed.id AND failed.status = 'failed'
                RETURNING n.id, {note("'retried'")}
            )
            {_NOTED_RETRY}
            RETURNING notification_id
            """,
            id,
            client_id,
            callback,
            only_sandbox,
            grace,
            key,
        )
    )


def redrive_all(
    client_id: int, filters: Mapping[str, object], after: Position | None, most: int, key: int | None = None
) -> list[Position]:
    """As `redrive`, for up to `most` of a client's that `filters` are true of, oldest first, from `after` on.

    Rung by the relay, as fast as the queue takes them. Returns the places of those moved, in order.
    """
    matching, values = failures.matching(client_id, filters, after)
    moved = rows(
        f"""
        WITH failed AS MATERIALIZED (
            SELECT id, status, failure_reason, finished_at FROM notifications
            WHERE {matching} AND {_NOTABLE.format(id="notifications.id")}
            ORDER BY created_at, id LIMIT %s FOR UPDATE
        ), redriven AS (
            UPDATE notifications AS n
            SET {_ANEW}, rung = false, dispatch_after = now()
            WHERE n.id = ANY(ARRAY(SELECT id FROM failed WHERE status = 'failed'))
            RETURNING n.created_at, n.id, {note("'retried'")}
        ), noted AS (
            {_NOTED_RETRY}
        )
        SELECT created_at, id FROM redriven
        """,
        *values,
        most,
        key,
    )
    return sorted(Position(*row) for row in moved)


def _sending(sending: Sending | None) -> tuple[object, ...]:
    return (str(sending.worker), list(sending.ids)) if sending else ()


def _by_claim(claims: Sequence[tuple[int, int]]) -> tuple[object, ...]:
    ids, numbers = [id for id, _ in claims], [claim for _, claim in claims]
    return ids, ids, numbers, *_span(ids)


def _span(ids: Iterable[int]) -> tuple[int, int]:
    among = list(ids)
    return min(among, default=0), max(among, default=0)


def _ids(sql: str, *parameters: object) -> list[int]:
    return [row[0] for row in rows(sql, *parameters)]
