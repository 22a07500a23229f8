"""From a claim to the moment of sending: which rows a worker holds, and which of them it may begin."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from uuid import UUID

from db.history.ends import COUNT_END
from db.lifecycle.clauses import HELD, UNCLAIMED, WITHIN, by_claim, returned_ids, span
from db.pauses import paused
from db.prepared import prepared
from db.provider_access import RESTRICTED
from db.records import CLAIMED_COLUMNS, Claimed, EvidenceWait, Sending
from db.suppressions import listed
from db.telling import ENQUEUE_CALLBACKS, append_event

# Notifications that a connection may begin before the outcomes of earlier ones are recorded. After a kill, the
# outcome of at most this many per connection is unknown.
AHEAD = 2

_CLAIMED = ", ".join(f"n.{name}" for name in CLAIMED_COLUMNS)
_THROTTLED_FOR = "coalesce(extract(epoch FROM clock_timestamp() - n.throttled_since), 0)::float8"
_LATE = "greatest(0, extract(epoch FROM clock_timestamp() - asked.next_attempt_at))::float8"

# A notification that may be what kills workers: one died during an attempt, and this is the third at least.
_SUSPECT = "alone AND retry_count >= 2"

# Parameters: ids, ids that must be for the sandbox, types (twice), worker, ids with their marks and providers (see
# `claim`), span, worker.
_CLAIM = f"""
        WITH asked AS MATERIALIZED (
            SELECT id, status, next_attempt_at, expires_at, evidence_until, client_id, type, recipient, mailboxes,
                   {_SUSPECT} AS suspect
            FROM notifications
            WHERE id = ANY(%s) AND (sandbox OR id <> ALL(%s::bigint[]))
                  AND (%s::text[] IS NULL OR type = ANY(%s::text[])) ORDER BY id FOR UPDATE SKIP LOCKED
        )
        UPDATE notifications AS n
        SET status = 'processing', claim = n.claim + 1, claimed_at = now(), claimed_by = %s,
            claimed_list = given.mark,
            claimed_provider = coalesce(n.bound_provider,
                                        CASE WHEN n.client_id <> ALL({RESTRICTED}) THEN given.provider END),
            next_attempt_at = NULL, dispatch_after = NULL, parked = false,
            -- If a retry commits at this moment, PostgreSQL first checks the constraints on the old, failed version.
            failure_reason = NULL, finished_at = NULL
        FROM asked JOIN unnest(%s::bigint[], %s::bigint[], %s::text[]) AS given (id, mark, provider) USING (id)
             LEFT JOIN {listed("asked")} ON true
        WHERE n.id = asked.id AND {WITHIN} AND asked.status = 'pending' AND asked.next_attempt_at <= now()
              AND (asked.expires_at IS NULL OR asked.expires_at > now())
              AND (asked.evidence_until IS NULL OR asked.evidence_until > now())
              AND NOT {paused("asked")} AND listed.error IS NULL
              AND (NOT asked.suspect
                   OR asked.id = (SELECT min(id) FROM asked
                                  WHERE suspect AND status = 'pending' AND next_attempt_at <= now())
                      AND NOT EXISTS (SELECT FROM notifications
                                      WHERE status = 'processing' AND claimed_by = %s AND {_SUSPECT}))
        RETURNING {_CLAIMED}, {_THROTTLED_FOR}, {_LATE}, {append_event("'claimed'")}
        """

_SUPPRESS = f"""
        WITH asked AS MATERIALIZED (
            SELECT id, status, next_attempt_at, client_id, recipient, mailboxes FROM notifications
            WHERE id = ANY(%s) AND evidence_until IS NULL ORDER BY id FOR UPDATE SKIP LOCKED
        )
        UPDATE notifications AS n
        SET status = 'failed', failure_reason = 'suppressed', finished_at = now(),
            last_error = listed.error, next_attempt_at = NULL, dispatch_after = NULL, parked = false,
            {UNCLAIMED}
        FROM asked, {listed("asked")}
        WHERE n.id = asked.id AND {WITHIN} AND asked.status = 'pending' AND asked.next_attempt_at <= now()
        RETURNING n.id, {ENQUEUE_CALLBACKS}, {COUNT_END}, {append_event("'failed'")}
        """

_PUT_OFF = f"""
        WITH asked AS MATERIALIZED (
            SELECT id, status, next_attempt_at, {_SUSPECT} AS suspect FROM notifications
            WHERE id = ANY(%s) ORDER BY id FOR UPDATE SKIP LOCKED
        )
        UPDATE notifications AS n SET dispatch_after = now() + random() * interval '1 second', rung = false
        FROM asked
        WHERE n.id = asked.id AND {WITHIN}
              AND asked.suspect AND asked.status = 'pending' AND asked.next_attempt_at <= now()
        RETURNING n.id
        """

# Parameters: see `sending_values`. `settle` records it in the same statement as the outcomes.
RECORD_SENDING = """INSERT INTO sending AS s (worker, ids) VALUES (%s, %s::bigint[])
            ON CONFLICT (worker) DO UPDATE SET ids = excluded.ids, at = now()"""

_REROUTE = f"""
        WITH {HELD}
        UPDATE notifications AS n SET claimed_provider = %s
        FROM held JOIN unnest(%s::bigint[], %s::bigint[]) AS given (id, claim) USING (id, claim)
        WHERE n.id = held.id AND {WITHIN} AND held.status = 'processing'
        RETURNING n.id
        """

_DOUBT = f"""
        WITH {HELD}
        UPDATE notifications AS n
        SET in_doubt_since = now(), doubt_until = coalesce(n.evidence_until, now() + given.wait * interval '1 second'),
            claimed_provider = coalesce(n.claimed_provider, given.provider)
        FROM held JOIN unnest(%s::bigint[], %s::bigint[], %s::float8[], %s::text[])
             AS given (id, claim, wait, provider) USING (id, claim)
        WHERE n.id = held.id AND {WITHIN} AND held.status = 'processing'
              AND (n.evidence_until IS NULL OR n.evidence_until > now())
        RETURNING n.id
        """


def claim(  # noqa: PLR0913, PLR0917
    ids: Iterable[int],
    worker: UUID,
    at_once: Collection[int] | None = None,
    if_sandbox: Iterable[int] = (),
    providers: Mapping[int, str] = MappingProxyType({}),
    types: Sequence[str] | None = None,
) -> list[Claimed]:
    """pending -> processing, for the ids that are due, not expired, not paused and not suppressed.

    Return the claimed rows in id order. Rows that another transaction has locked are skipped: that transaction
    takes care of them. Pass the ids that were not claimed to `suppress` and `put_off`.

    A suspect is a notification that may be what kills workers: one died during an attempt, and this is the third at
    least. A worker holds one suspect at a time, so that it takes no other suspect with it.

    `at_once` are the ids that the worker may begin as soon as they are claimed, by default all of them. It must
    record the others with `begin` or `settle` before it begins them. An id in `if_sandbox` is claimed only
    if it is a sandbox notification: the breaker of a provider does not hold those back.

    `providers` are the names of the providers through which the ids are to be sent, where there are several; the rows
    keep them, except those of clients that may not use every provider: call `reroute` for these. `types` are those that
    the worker can deliver, by default all; rows of another type are left alone. A row that is bound to a provider (see
    `settle`) keeps that one instead: see `Claimed.bound_provider`.
    """
    asked = list(dict.fromkeys(ids))
    begun = asked if at_once is None else at_once
    marks = [-id if id in begun else None for id in asked]
    names = [providers.get(id) for id in asked]
    given = [None if types is None else list(types)] * 2
    values = (str(worker), asked, marks, names, *span(asked), str(worker))
    claimed = prepared("claim", _CLAIM, asked, list(if_sandbox), *given, *values)
    return sorted(Claimed(*row) for *row, _ in claimed)


def still_due(ids: Iterable[int]) -> list[int]:
    """Return the ids that are pending and due, in id order."""
    due = "SELECT id FROM notifications WHERE id = ANY(%s) AND status = 'pending' AND next_attempt_at <= now()"
    return sorted(returned_ids(due, list(ids)))


def suppress(ids: Iterable[int]) -> list[int]:
    """pending -> failed (suppressed), for the ids that are due and have a recipient on the suppression list.

    Call it with the ids that `claim` refused: until a suppressed row is moved, the relay enqueues it again and
    again. Return the ids that were moved.
    """
    given = list(ids)
    return returned_ids(_SUPPRESS, given, *span(given))


def put_off(ids: Iterable[int]) -> list[int]:
    """pending -> pending, for suspects that are due: enqueue them again within a second.

    Call it with the ids that `claim` refused, because the worker holds another suspect. Return the ids that were
    put off.
    """
    given = list(ids)
    return returned_ids(_PUT_OFF, given, *span(given))


def begin(sending: Sending) -> None:
    """Record which notifications a worker may begin now, in place of what was recorded for it before."""
    prepared("begin", RECORD_SENDING, *sending_values(sending))


def reroute(claims: Sequence[tuple[int, int]], provider: str) -> list[int]:
    """processing -> processing, for another provider, because the first has certainly not taken it.

    Call it before anything is sent through `provider`. Return the ids of the claims still owned; send no other.
    """
    ids, *rest = by_claim(claims)
    return returned_ids(_REROUTE, ids, provider, *rest)


def doubt(
    claims: Sequence[tuple[int, int]], waits: Mapping[int, EvidenceWait] = MappingProxyType({})
) -> set[tuple[int, int]]:
    """processing -> processing, in doubt: until it is settled, nobody can know whether it was sent.

    Call it for `onUncertain: "hold"` before the body goes out. Return the (id, claim) pairs still owned; send no
    other. One that waits for evidence about an earlier attempt is refused once that time is over, because the provider
    may no longer recognise the repetition.

    `waits`: by id, how long evidence about this attempt may come; without it, none can come.
    """
    ids, *rest, low, high = by_claim(claims)
    given = [waits.get(id) for id, _ in claims]
    seconds, providers = [one and one.seconds for one in given], [one and one.provider for one in given]
    owned = returned_ids(_DOUBT, ids, *rest, seconds, providers, low, high)
    return {(id, claim) for id, claim in claims if id in owned}


def sending_values(sending: Sending | None) -> tuple[object, ...]:
    """Return the parameters of RECORD_SENDING; none if there is nothing to record."""
    return (str(sending.worker), list(sending.ids)) if sending else ()
