"""Accept notifications: one commit before the client gets its answer."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from db.drafts import FATE_COLUMNS, Column, Group, Source, fate, source
from db.history.ends import COUNT_END
from db.prepared import prepared
from db.records import DRAFT_COLUMNS, Accepted, Draft
from db.telling import ENQUEUE_CALLBACKS, append_event

DRAFTED = ", ".join(DRAFT_COLUMNS)
# For RETURNING: the fields of Accepted, and a column each for ENQUEUE_CALLBACKS, COUNT_END and `append_event`.
ACCEPTED = f"""n.id, n.created_at, n.failure_reason, n.last_error,
               CASE WHEN n.status = 'failed' THEN {ENQUEUE_CALLBACKS} END,
               CASE WHEN n.status = 'failed' THEN {COUNT_END} END,
               {append_event("CASE n.status WHEN 'failed' THEN 'failed' ELSE 'accepted' END")}"""

# For WITH, before an INSERT into idempotency_keys: bounds the wait for another transaction that inserts the same key.
# Parameter: see `milliseconds`.
BOUNDED_WAIT = "bounded AS MATERIALIZED (SELECT set_config('lock_timeout', %s, true))"


def accept(drafts: Sequence[Draft], grace: float, left: Collection[Group] = ()) -> list[Accepted]:
    """(client) -> pending; -> failed (suppressed) if a recipient is on the client's suppression list.

    For drafts without keys and attachments; `accept_keyed` takes the others, at twice the cost. Return a row
    for each draft, in the order of the drafts.

    The caller enqueues what is pending and due. The relay enqueues it if it is still pending after `grace`
    seconds, at once if it belongs to a group in `left`, and at its time if it is to be sent later.
    """
    # Ids are drawn in the order of the sorted rows, so sorting by id gives the drafts' order back.
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
    return sorted(Accepted(*row) for *row, _, _, _ in accepted)


def accept_keyed(
    drafts: Sequence[Draft],
    keys: Sequence[tuple[str, bytes] | None],
    grace: float,
    wait: float,
    left: Collection[Group] = (),
) -> dict[int, Accepted]:
    """(client) -> pending; -> failed (suppressed): like `accept`, once for each idempotency key.

    `keys` has an item for each draft: the key with the digest of its request, or None. Attachments are stored too.
    Return what was stored, by its index in `drafts`; a draft whose key was used before is left out.

    Raises Contended if another transaction that inserts one of these keys does not end within `wait` seconds.
    """
    given, becomes = _keyed(drafts, keys), fate(grace, left)
    stored = prepared(
        "accept_once",
        _accept_keyed(given.sql, becomes.sql),
        *given.values,
        milliseconds(wait),
        *becomes.values,
        *_attached(drafts),
    )
    return {place - 1: Accepted(*accepted) for place, *accepted in stored}


def _accept_keyed(given: str, becomes: str) -> str:
    """Return the statement. Parameters: those of `given`, the bound of the wait, those of `becomes`, attachments.

    Keys are inserted in their order, so that two of these statements never deadlock.
    """
    return f"""
        WITH given AS MATERIALIZED (
            SELECT nextval('notifications_id_seq') AS id, drawn.*
            FROM (SELECT * FROM {given} ORDER BY place) AS drawn
        ), {BOUNDED_WAIT}, first AS (
            INSERT INTO idempotency_keys (client_id, key, digest, notification_id, send_at, expires_at, suppressed)
            SELECT client_id, key, digest, id, send_at, expires_at, suppressed FROM given, bounded
            WHERE key IS NOT NULL ORDER BY client_id, key, place
            ON CONFLICT DO NOTHING
            RETURNING notification_id
        ), stored AS (
            INSERT INTO notifications AS n (id, {DRAFTED}, {FATE_COLUMNS})
            SELECT id, {DRAFTED}, {becomes} FROM given
            WHERE key IS NULL OR id IN (SELECT notification_id FROM first) ORDER BY id
            RETURNING {ACCEPTED}
        ), attached AS (
            INSERT INTO attachments (notification_id, number, content)
            SELECT id, file.number, file.content
            FROM unnest(%s::bigint[], %s::int[], %s::bytea[]) AS file (place, number, content)
            JOIN given USING (place) JOIN stored USING (id)
        )
        SELECT place, id, created_at, failure_reason, last_error FROM stored JOIN given USING (id)
        """


def milliseconds(seconds: float) -> str:
    """Return the parameter of BOUNDED_WAIT; at least 1 ms, because PostgreSQL takes 0 for no limit."""
    return f"{max(1, round(seconds * 1000))}ms"


def _keyed(drafts: Sequence[Draft], keys: Sequence[tuple[str, bytes] | None]) -> Source:
    return source(
        drafts,
        Column("key", "text", [key and key[0] for key in keys]),
        Column("digest", "bytea", [key and key[1] for key in keys]),
    )


def _attached(drafts: Sequence[Draft]) -> tuple[list[int], list[int], list[bytes]]:
    """Return the attachments of all drafts as columns: the place of the draft from 1 on, number, content."""
    files = [
        (place, number, content)
        for place, draft in enumerate(drafts, 1)
        for number, content in enumerate(draft.contents, 1)
    ]
    return [f[0] for f in files], [f[1] for f in files], [f[2] for f in files]
