"""Reports as they arrive: stored before they are acknowledged, and read later by a worker.

Call within `connection()`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from db.client_view import VIEW
from db.database import rows

LONGEST = 262_144  # octets of a mail that are stored: the status is at its beginning, before the mail it is about
LEASE = 60  # seconds after which another worker reads a report, if the one that took it has died
KEPT = 30 * 86_400  # seconds that reports are kept
Json = dict[str, Any]


class Incoming(NamedTuple):
    """A report to store.

    `source`: the way in, or the provider whose webhook it is. `envelope`: the recipients of its SMTP envelope.
    `events`: what it says, if that is known already.
    """

    source: str
    raw: bytes
    envelope: str | None = None
    events: Sequence[Json] | None = None


class Taken(NamedTuple):
    """A report that this worker reads. `tries` counts this one."""

    id: int
    source: str
    raw: bytes
    envelope: str | None
    events: list[Json] | None
    received_at: datetime
    tries: int


def store(incoming: Incoming) -> int:
    """Store a report and return its id."""
    [(id,)] = rows(
        "INSERT INTO reports (source, raw, envelope, events) VALUES (%s, %s, %s, %s) RETURNING id",
        *(incoming.source, incoming.raw[:LONGEST], incoming.envelope),
        None if incoming.events is None else json.dumps(incoming.events),
    )
    return int(id)


def keep_unreadable(source: str, raw: bytes) -> None:
    """Store a report that cannot be read, for people to look at."""
    rows(
        "INSERT INTO reports (source, raw, state, due_at) VALUES (%s, %s, 'unreadable', NULL)",
        *(source, raw[:LONGEST]),
    )


def take(most: int) -> list[Taken]:
    """Take up to `most` reports that are due, oldest first. Other workers leave them alone for LEASE seconds."""
    found = rows(
        """
        WITH due AS MATERIALIZED (
            SELECT id FROM reports WHERE state = 'new' AND due_at <= now()
            ORDER BY due_at, id LIMIT %s FOR UPDATE SKIP LOCKED
        )
        UPDATE reports AS r SET tries = r.tries + 1, due_at = now() + %s * interval '1 second'
        FROM due WHERE r.id = due.id
        RETURNING r.id, r.source, r.raw, r.envelope, r.events, r.received_at, r.tries
        """,
        *(most, LEASE),
    )
    return sorted(Taken(id, source, bytes(raw), *rest) for id, source, raw, *rest in found)


def end(id: int, state: str, events: Sequence[Json]) -> None:
    """Record what became of a report, and what it says."""
    rows(
        "UPDATE reports SET state = %s, due_at = NULL, events = %s WHERE id = %s AND state = 'new'",
        *(state, json.dumps(events), id),
    )


def end_empty(id: int, state: str) -> None:
    """Record what became of a report, and keep nothing of what it says."""
    rows(
        "UPDATE reports SET state = %s, due_at = NULL, raw = '', envelope = NULL, events = '[]'"
        " WHERE id = %s AND state = 'new'",
        *(state, id),
    )


def postpone(id: int, seconds: float) -> None:
    """Let a report be read again after this many seconds."""
    rows("UPDATE reports SET due_at = now() + %s * interval '1 second' WHERE id = %s AND state = 'new'", seconds, id)


def notification_of(provider: str, message_id: str) -> int | None:
    """Return the notification that a provider took as this message, or None."""
    found = rows(
        "SELECT notification_id FROM attempts WHERE provider_message_id = %s AND provider = %s"
        " ORDER BY notification_id LIMIT 1",
        *(message_id.strip("<>"), provider),
    )
    return int(found[0][0]) if found else None


def addresses(notification: int) -> list[str]:
    """Return the normalised recipients of a notification, the main one first; empty if there is no such one."""
    found = rows(
        f"SELECT coalesce(mailboxes, jsonb_build_array(recipient)) FROM {VIEW} AS n WHERE id = %s", notification
    )
    return list(found[0][0]) if found else []


def note_rejected(numbers: Mapping[str, int], reason: str) -> None:
    """Record how many requests to the webhooks of providers were rejected; `reason`: that of the last one."""
    for provider, number in sorted(numbers.items()):
        rows(
            """
            INSERT INTO report_rejections AS r (provider, number, reason) VALUES (%s, %s, %s)
            ON CONFLICT (provider) DO UPDATE
            SET number = r.number + excluded.number, reason = excluded.reason, rejected_at = now()
            """,
            *(provider, number, reason),
        )


def rejections(within: float) -> list[tuple[str, int, str]]:
    """Return provider, number and last reason of rejected requests, if the last one is at most `within` seconds old."""
    found = rows(
        "SELECT provider, number, reason FROM report_rejections"
        " WHERE rejected_at > now() - %s * interval '1 second' ORDER BY provider",
        within,
    )
    return [(provider, number, reason) for provider, number, reason in found]


def erase(notifications: Sequence[int]) -> None:
    """Remove addresses and words from reports about these. What they have changed stays."""
    rows(
        """
        WITH hushed AS (
            UPDATE evidence SET recipient = NULL, text = NULL WHERE notification_id = ANY(%s) RETURNING report_id
        )
        UPDATE reports SET raw = '', envelope = NULL, events = '[]', due_at = NULL,
               state = CASE state WHEN 'new' THEN 'ignored' ELSE state END
        WHERE id IN (SELECT report_id FROM hushed)
        """,
        list(notifications),
    )


def forget(most: int) -> int:
    """Delete up to `most` reports that are older than KEPT. Return how many."""
    found = rows(
        """
        DELETE FROM reports WHERE id = ANY(ARRAY(
            SELECT id FROM reports WHERE received_at < now() - %s * interval '1 second' AND state <> 'new'
            ORDER BY received_at LIMIT %s FOR UPDATE SKIP LOCKED
        )) RETURNING id
        """,
        *(KEPT, most),
    )
    return len(found)


def unmatched(before: int | None, limit: int) -> list[Json]:
    """Return up to `limit` reports that changed nothing, newest first, from below the id `before`."""
    found = rows(
        """
        SELECT id, received_at, source, state, envelope, events FROM reports
        WHERE state IN ('unmatched', 'unreadable') AND (%s::bigint IS NULL OR id < %s)
        ORDER BY id DESC LIMIT %s
        """,
        *(before, before, limit),
    )
    names = ("id", "received_at", "source", "state", "envelope", "events")
    return [dict(zip(names, row, strict=True)) for row in found]
