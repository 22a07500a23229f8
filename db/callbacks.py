"""The endpoints of clients to which callbacks are delivered. Call within `connection()`.

Secrets are stored in plain text: a worker needs them to sign, so they could only be encrypted with a key that is kept
next to DATABASE_URL. Only `signing` returns them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from peewee import Tuple, fn

from db.database import database, rows
from db.exclusive import one_at_a_time
from db.models import Notification
from db.reports import Position, attempts_of, dicts

# Any constant will do that no other lock of a client has.
LOCK = 7_021
# The number of newest endpoints that `failing` reads, and the number of newest callbacks of each.
ENDPOINTS = 1_000
LATELY = 500
OF_PROVIDERS = ("provider.silent", "provider.heard")  # events that are not about the client's notifications
KEEPS_FAILING = 3  # failed callbacks without a success since, from which on an endpoint counts as failing
N = Notification

_SHOWN = (
    *("id", "url", "description", "events", "created_at"),
    *("disabled_at", "disabled_reason", "old_secret_until"),
)
_COLUMNS = ", ".join(_SHOWN)
_DELIVERY = (
    # Tests and the events of providers are about no notification.
    *(N.id, N.subject.alias("event"), fn.NULLIF(N.subject_id, 0).alias("notification_id"), N.status),
    *(N.attempt_count, N.retry_count, N.last_error, N.failure_reason),
    *(N.created_at, N.next_attempt_at, N.finished_at),
)

Row = dict[str, Any]


class Signing(NamedTuple):
    """Address of a callback, the secrets that sign it, and the database's time in seconds since 1970."""

    url: str
    secrets: tuple[str, ...]
    disabled: bool
    now: int


class Failing(NamedTuple):
    """An endpoint that keeps failing. `since`: when its first failed callback was created. `error`: the last error."""

    id: int
    client: str
    failures: int
    since: datetime
    error: str | None


class New(NamedTuple):
    """An endpoint to create."""

    client_id: int
    url: str
    description: str
    events: list[str]
    secret: str


def create(new: New, most: int) -> Row | None:
    """Create an endpoint; return None if the client has `most` already."""
    with database.atomic():
        # Without the lock, several requests at once could each find room for one more.
        one_at_a_time(LOCK, new.client_id)
        return _one(
            f"""
            INSERT INTO callbacks (client_id, url, description, events, secret)
            SELECT %s, %s, %s, %s::text[], %s
            WHERE (SELECT count(*) FROM callbacks WHERE client_id = %s) < %s
            RETURNING {_COLUMNS}
            """,
            *new,
            new.client_id,
            most,
        )


def listed(client_id: int) -> list[Row]:
    """Return all endpoints of a client, oldest first."""
    return _rows(f"SELECT {_COLUMNS} FROM callbacks WHERE client_id = %s ORDER BY id", client_id)


def endpoint(client_id: int, id: int) -> Row | None:
    """Return one endpoint of a client, or None."""
    return _one(f"SELECT {_COLUMNS} FROM callbacks WHERE client_id = %s AND id = %s", client_id, id)


def change(client_id: int, id: int, changes: Row) -> Row | None:
    """Change an endpoint. `changes` may hold url, description, events and disabled (a boolean)."""
    return _one(
        f"""
        UPDATE callbacks AS c
        SET url = coalesce(new.url, c.url), description = coalesce(new.description, c.description),
            events = coalesce(new.events, c.events),
            disabled_at = CASE coalesce(new.disabled, c.disabled_at IS NOT NULL)
                          WHEN true THEN coalesce(c.disabled_at, now()) END,
            disabled_reason = CASE coalesce(new.disabled, c.disabled_at IS NOT NULL)
                              WHEN true THEN coalesce(c.disabled_reason, 'by request') END
        FROM (SELECT %s::text AS url, %s::text AS description, %s::text[] AS events, %s::boolean AS disabled) AS new
        WHERE c.client_id = %s AND c.id = %s
        RETURNING {", ".join(f"c.{name}" for name in _SHOWN)}
        """,
        *(changes.get(name) for name in ("url", "description", "events", "disabled")),
        client_id,
        id,
    )


def rotate(client_id: int, id: int, secret: str, overlap: float) -> Row | None:
    """Replace the secret. The previous one also signs for `overlap` seconds; the one before it no longer does."""
    return _one(
        f"""
        UPDATE callbacks
        SET old_secret = secret, old_secret_until = now() + %s * interval '1 second', secret = %s
        WHERE client_id = %s AND id = %s
        RETURNING {_COLUMNS}
        """,
        overlap,
        secret,
        client_id,
        id,
    )


def delete(client_id: int, id: int) -> Row | None:
    """Delete an endpoint and return it as it was. Callbacks that are still to be delivered to it fail."""
    return _one(f"DELETE FROM callbacks WHERE client_id = %s AND id = %s RETURNING {_COLUMNS}", client_id, id)


def gone(id: int, reason: str) -> None:
    """Disable an endpoint that answered that it wants no more callbacks, until its client enables it."""
    rows(
        "UPDATE callbacks SET disabled_at = now(), disabled_reason = %s WHERE id = %s AND disabled_at IS NULL",
        reason,
        id,
    )


def signing(ids: Sequence[int]) -> dict[int, Signing]:
    """Return what a worker needs to deliver to these endpoints, by id. Deleted endpoints are left out."""
    found = rows(
        """
        SELECT id, url, secret, CASE WHEN old_secret_until > now() THEN old_secret END,
               disabled_at IS NOT NULL, extract(epoch FROM now())::bigint
        FROM callbacks WHERE id = ANY(%s)
        """,
        list(ids),
    )
    return {
        id: Signing(url, tuple(filter(None, (secret, old))), disabled, now)
        for id, url, secret, old, disabled, now in found
    }


def failing(most: int) -> list[Failing]:
    """Return up to `most` enabled endpoints that have failed KEEPS_FAILING times without a success since, worst first.

    A callback counts if it has failed or waits for another attempt. At most LATELY callbacks of an endpoint are read.
    """
    found = rows(
        """
        SELECT c.id, clients.name, f.failures, f.since, f.error
        FROM (SELECT id, client_id FROM callbacks WHERE disabled_at IS NULL ORDER BY id DESC LIMIT %s) AS c
             JOIN clients ON clients.id = c.client_id
             CROSS JOIN LATERAL (
                 WITH lately AS MATERIALIZED (
                     SELECT id, status, retry_count, created_at, finished_at, last_error FROM notifications
                     WHERE callback_id = c.id ORDER BY created_at DESC, id DESC LIMIT %s)
                 SELECT count(*) AS failures, min(created_at) AS since,
                        (array_agg(last_error ORDER BY created_at DESC, id DESC))[1] AS error
                 FROM lately WHERE (status = 'failed' OR retry_count > 0) AND status <> 'sent'
                       AND created_at > coalesce(
                           (SELECT max(finished_at) FROM lately WHERE status = 'sent'), '-infinity')
             ) AS f
        WHERE f.failures >= %s
        ORDER BY f.failures DESC, c.id LIMIT %s
        """,
        *(ENDPOINTS, LATELY, KEEPS_FAILING, most),
    )
    return [Failing(*row) for row in found]


def deliveries(id: int, status: str | None, after: Position | None, limit: int) -> list[Row]:
    """Return up to `limit` callbacks to an endpoint, newest first, from behind the position `after`."""
    query = N.select(*_DELIVERY).where(N.callback_id == id)
    if status is not None:
        query = query.where(N.status == status)
    if after is not None:
        query = query.where(Tuple(N.created_at, N.id) < Tuple(after.created_at, after.id))
    return dicts(query.order_by(N.created_at.desc(), N.id.desc()).limit(limit))


def delivery(id: int, callback: int) -> Row | None:
    """Return one callback to an endpoint with its body, or None."""
    query = N.select(*_DELIVERY, N.message.alias("body")).where(N.callback_id == id, N.id == callback)
    return next(iter(dicts(query)), None)


def attempts(callback: int) -> list[Row]:
    """Return every attempt to deliver a callback, first to last."""
    return attempts_of(N.select(N.id).where(N.id == callback, N.callback_id.is_null(False)))


def _one(sql: str, *parameters: object) -> Row | None:
    return next(iter(_rows(sql, *parameters)), None)


def _rows(sql: str, *parameters: object) -> list[Row]:
    return [dict(zip(_SHOWN, row, strict=True)) for row in rows(sql, *parameters)]
