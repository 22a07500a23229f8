"""The parts of an erasure. Each runs a few statements over a bounded number of rows, and finds those rows again each
time.

Rows are found by an index: by `recipient`, or by `mailboxes` if the address is written differently from its normalised
form or is among the copies. Rows are locked in id order. Call within the transaction of `erasures.step`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from db import incoming_reports, lifecycle, subjects
from db.client_view import VIEW
from db.database import rows
from db.models import FINAL


class Of(NamedTuple):
    """The notifications to erase: those of a client to a normalised address, up to an id."""

    client_id: int
    address: str
    last_id: int


_OURS = "client_id = %s AND erased_at IS NULL AND id <= %s"
# Notifications to the address itself, written in its normalised form or differently.
_MINE = f"""(SELECT id, status, expires_at FROM {VIEW} AS n WHERE recipient = %s AND mailboxes IS NULL AND {_OURS}
             UNION ALL
             SELECT id, status, expires_at FROM {VIEW} AS n
             WHERE mailboxes @> jsonb_build_array(%s::text) AND mailboxes ->> 0 = %s AND {_OURS}) AS mine"""
_COPIES = f"""(SELECT id, status FROM {VIEW} AS n
               WHERE mailboxes @> jsonb_build_array(%s::text) AND mailboxes ->> 0 <> %s AND {_OURS}) AS copied"""
# What a worker may still begin: pending, or being sent with another attempt possible.
_TO_STOP = "status = 'pending' OR status = 'processing' AND (expires_at IS NULL OR expires_at > now())"


def stop(erasure: int, of: Of, most: int, key: int | None = None) -> int:
    """Cancel up to `most` notifications, allow no further attempt of those being sent, remove the address from copies.

    Return how many rows were found.
    """
    found = rows(f"SELECT id, status FROM {_MINE} WHERE {_TO_STOP} ORDER BY id LIMIT %s", *_mine(of), most)
    cancelled = sum(lifecycle.cancel(id, of.client_id, key) for id, status in found if status == "pending")
    # Not a transition: the status stays, and when the row comes back it is too late for another attempt.
    rows(
        "UPDATE notifications SET expires_at = least(expires_at, clock_timestamp())"
        " WHERE id = ANY(%s) AND status = 'processing'",
        [id for id, status in found if status == "processing"],
    )
    copies = _copies(erasure, of, most)
    rows(
        "UPDATE erasures SET cancelled = cancelled + %s, copies = copies + %s WHERE id = %s",
        *(cancelled, copies, erasure),
    )
    return len(found) + copies


def erase(erasure: int, of: Of, most: int) -> int:
    """Remove the content of up to `most` final notifications. Return how many."""
    found = rows(f"SELECT id FROM {_MINE} WHERE status = ANY(%s) ORDER BY id LIMIT %s", *_mine(of), list(FINAL), most)
    held = rows(
        "SELECT id FROM notifications WHERE id = ANY(%s) AND status = ANY(%s) AND erased_at IS NULL"
        " ORDER BY id FOR UPDATE",
        *([id for (id,) in found], list(FINAL)),
    )
    ids = [id for (id,) in held]
    if not ids:
        return 0
    _blank(ids, of.address)
    subjects.forget(ids)
    rows("DELETE FROM attachments WHERE notification_id = ANY(%s)", ids)
    _silence(ids)
    incoming_reports.erase(ids)
    told = _untold(erasure, ids)
    rows("UPDATE erasures SET erased = erased + %s, callbacks = callbacks + %s WHERE id = %s", len(ids), told, erasure)
    return len(ids)


def rinse(erasure: int, of: Of, rest: Sequence[int]) -> int:
    """Remove the answers to callbacks and copies that were being sent and no longer are. Return how many rows."""
    back = rows(
        "SELECT asked.id FROM unnest(%s::bigint[]) AS asked (id) LEFT JOIN notifications AS n USING (id)"
        " WHERE n.status IS DISTINCT FROM 'processing'",
        list(rest),
    )
    ids = [id for (id,) in back]
    if ids:
        kept = [id for id in rest if id not in ids]
        rows("UPDATE erasures SET rest = %s::bigint[] WHERE id = %s", kept, erasure)
        _quiet(erasure, of, ids)
    return len(ids)


def forget_in_keys(erasure: int, of: Of, after: str, most: int) -> None:
    """Remove the address from the stored answers of up to `most` idempotency keys behind the key `after`."""
    [(last,)] = rows(
        "SELECT max(key) FROM (SELECT key FROM idempotency_keys WHERE client_id = %s AND key > %s"
        " ORDER BY key LIMIT %s) AS next",
        *(of.client_id, after, most),
    )
    if last is not None:
        written = json.dumps(of.address, ensure_ascii=False)[1:-1]
        rows(
            """
            UPDATE idempotency_keys
            SET suppressed = replace(suppressed, %s, ''),
                answer = replace(answer::text, %s, '')::json
            WHERE client_id = %s AND key > %s AND key <= %s
                  AND (position(%s IN suppressed) > 0 OR position(%s IN answer::text) > 0)
            """,
            *(of.address, written, of.client_id, after, last, of.address, written),
        )
    rows("UPDATE erasures SET keys_after = %s WHERE id = %s", last, erasure)


def left(of: Of) -> int:
    """Return how many notifications and copies are still to be erased."""
    [(count,)] = rows(
        f"SELECT (SELECT count(*) FROM {_MINE}) + (SELECT count(*) FROM {_COPIES})", *_mine(of), *_copied(of)
    )
    return int(count)


def forget_elsewhere(of: Of) -> None:
    """Remove reasons of breakers that quote the address: a server may have repeated it in its reply."""
    rows("UPDATE providers SET reason = 'erased' WHERE position(lower(%s) IN lower(reason)) > 0", of.address)


def count(of: Of) -> dict[str, int]:
    """Return what an erasure would find: how many notifications by status, and how many `copies`."""
    found = dict(rows(f"SELECT status, count(*) FROM {_MINE} GROUP BY status ORDER BY status", *_mine(of)))
    [(copies,)] = rows(f"SELECT count(*) FROM {_COPIES}", *_copied(of))
    return {**found, "copies": copies}


def _mine(of: Of) -> tuple[object, ...]:
    return of.address, of.client_id, of.last_id, of.address, of.address, of.client_id, of.last_id


def _copied(of: Of) -> tuple[object, ...]:
    return of.address, of.address, of.client_id, of.last_id


def _blank(ids: Sequence[int], address: str) -> None:
    # A failed notification expires now, so that it cannot be retried; a CHECK requires its send_at to be earlier.
    rows(
        """
        UPDATE notifications AS n
        SET recipient = '', subject = '', message = '', html = NULL, mail = NULL, mailboxes = NULL,
            metadata = NULL, last_error = NULL, erased_at = now(),
            tags = (SELECT jsonb_agg(tag) FROM jsonb_array_elements_text(n.tags) AS tag
                    WHERE position(lower(%s) IN lower(tag)) = 0),
            send_at = CASE WHEN n.status = 'failed' AND n.send_at >= now() THEN NULL ELSE n.send_at END,
            expires_at = CASE WHEN n.status = 'failed' THEN least(n.expires_at, now()) ELSE n.expires_at END
        WHERE n.id = ANY(%s)
        """,
        *(address, list(ids)),
    )


def _silence(ids: Sequence[int]) -> None:
    """Remove the servers' replies, which may quote the address."""
    rows("UPDATE attempts SET text = NULL WHERE notification_id = ANY(%s) AND text IS NOT NULL", list(ids))


def _untold(erasure: int, ids: Sequence[int]) -> int:
    """Remove the content from callbacks about these, delivered or not. Clients still learn how they ended."""
    found = rows("SELECT id, status FROM notifications WHERE subject_id = ANY(%s) ORDER BY id FOR UPDATE", list(ids))
    callbacks = [id for id, _ in found]
    rows(
        """
        UPDATE notifications AS n
        SET last_error = NULL, message = jsonb_set(n.message::jsonb, '{data}', n.message::jsonb -> 'data'
            || jsonb_build_object('recipient', '', 'subject', '', 'metadata', '{}'::jsonb, 'lastError', NULL,
                                  'deliveryEvidence', NULL, 'tags', coalesce(of.tags, '[]')))::text
        FROM notifications AS of WHERE of.id = n.subject_id AND n.id = ANY(%s)
        """,
        callbacks,
    )
    _silence(callbacks)
    _wait_for(erasure, [id for id, status in found if status == "processing"])
    return len(callbacks)


def _copies(erasure: int, of: Of, most: int) -> int:
    """Remove the address from notifications to others of which it got a copy. Their other content stays."""
    found = rows(f"SELECT id FROM {_COPIES} ORDER BY id LIMIT %s", *_copied(of), most)
    held = rows(
        "SELECT id, status, mailboxes, mail FROM notifications WHERE id = ANY(%s) ORDER BY id FOR UPDATE",
        [id for (id,) in found],
    )
    for id, _, mailboxes, mail in held:
        rows(
            "UPDATE notifications SET mailboxes = %s, mail = %s WHERE id = %s",
            *(json.dumps([m for m in mailboxes if m != of.address]), _without(of.address, mailboxes, mail), id),
        )
    _quiet(erasure, of, [id for id, *_ in held])
    _wait_for(erasure, [id for id, status, *_ in held if status == "processing"])
    return len(held)


def _without(address: str, mailboxes: Sequence[str], mail: dict[str, Any]) -> str:
    """Return `mail` without the copies to the address. `mailboxes` has them in the same order, after the recipient."""
    places = iter(mailboxes[1:])
    kept = {
        name: [text for text, mailbox in zip(mail[name], places, strict=False) if mailbox != address]
        for name in ("cc", "bcc")
        if name in mail
    }
    return json.dumps(mail | kept)


def _quiet(erasure: int, of: Of, ids: Sequence[int]) -> None:
    """Remove the servers' replies about these, and what callbacks repeat of them."""
    _silence(ids)
    incoming_reports.erase(ids)
    rows("UPDATE notifications SET last_error = NULL WHERE id = ANY(%s) AND last_error IS NOT NULL", list(ids))
    repeated = rows(
        """
        UPDATE notifications SET message = jsonb_set(message::jsonb, '{data,lastError}', 'null')::text
        WHERE subject_id = ANY(%s) AND position(lower(%s) IN lower(message)) > 0 RETURNING id, status
        """,
        *(list(ids), of.address),
    )
    _silence([id for id, _ in repeated])
    _wait_for(erasure, [id for id, status in repeated if status == "processing"])


def _wait_for(erasure: int, ids: Sequence[int]) -> None:
    if ids:
        rows("UPDATE erasures SET rest = rest || %s::bigint[] WHERE id = %s", list(ids), erasure)
