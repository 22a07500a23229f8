"""Create, find, rotate and revoke API keys. Call within `connection()`.

Only the digests of secrets are stored. Expiry is measured on the database's clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from db.clients import Client
from db.database import database, rows
from db.exclusive import one_at_a_time

SCOPES = ("send", "read", "manage", "admin")
MOST_LIVE = 1_000  # keys of one client that work at the same time
# Any constant will do that no other lock of a client has.
LOCK = 7_022
OVERLAP = 86_400  # seconds that an old key works after a rotation, unless the rotation says otherwise
USE_NOTED_EVERY = 60.0  # seconds; the precision of `last_used_at`


class Grant(NamedTuple):
    """A key to create."""

    name: str
    scopes: Sequence[str]
    sandbox: bool = False
    expires_at: datetime | None = None


class Key(NamedTuple):
    """A key without its digest. Fields are columns."""

    id: int
    client_id: int
    name: str
    scopes: list[str]
    sandbox: bool
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    replaced_by: int | None


class TooMany(Exception):
    """The client would have more than MOST_LIVE keys that work; nothing happened."""


class Live(NamedTuple):
    """A key that works now, with its client. `expires_in`: seconds. `unnoted`: record its use with `used`."""

    id: int
    digest: bytes
    scopes: frozenset[str]
    sandbox: bool
    expires_in: float | None
    unnoted: bool
    client: Client


_COLUMNS = ", ".join(Key._fields)
_CLIENT = ", ".join(f"c.{name}" for name in Client._fields)
_LATEST = "timestamptz '9999-12-31 00:00:00Z'"  # Python knows none that is much later
_END_OF_MAKER = "(SELECT maker.expires_at FROM keys AS maker WHERE maker.id = %s)"  # least() passes NULL over
_LIVE = "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())"


def create(client_id: int, digest: bytes, grant: Grant, maker: int | None = None) -> Key | None:
    """Create a key of a client. It expires no later than the key `maker` that creates it.

    Return None if there is no such client, or if the key would have expired already.

    Raises:
        TooMany: the client has MOST_LIVE keys that work.
    """
    return _bounded(
        f"""
        INSERT INTO keys (client_id, name, digest, scopes, sandbox, expires_at)
        SELECT id, %s, %s, %s::text[], %s, least(%s::timestamptz, {_END_OF_MAKER}) FROM clients
        WHERE id = %s AND (%s::timestamptz IS NULL OR %s > now())
        RETURNING {_COLUMNS}
        """,
        *(grant.name, digest, list(grant.scopes), grant.sandbox, grant.expires_at, maker),
        *(client_id, grant.expires_at, grant.expires_at),
    )


def one(id: int) -> Key | None:
    """Return a key by its id, or None."""
    return _one(f"SELECT {_COLUMNS} FROM keys WHERE id = %s", id)


def listed(client_id: int, after: int, limit: int) -> list[Key]:
    """Return up to `limit` keys of a client with an id above `after`, oldest first, including those that ended."""
    sql = f"SELECT {_COLUMNS} FROM keys WHERE client_id = %s AND id > %s ORDER BY id LIMIT %s"
    return [Key(*row) for row in rows(sql, client_id, after, limit)]


def revoke(id: int) -> Key | None:
    """Revoke a key. Return None if it is unknown or was revoked before."""
    sql = f"UPDATE keys SET revoked_at = now() WHERE id = %s AND revoked_at IS NULL RETURNING {_COLUMNS}"
    return _one(sql, id)


def rotate(id: int, digest: bytes, overlap: float, maker: int | None = None) -> Key | None:
    """Create a successor with the same name, scopes and lifetime. The old key works for `overlap` more seconds at most.

    The successor expires no later than the key `maker` that rotates, by that key's expiry before the rotation.

    Return None if the old key is unknown, has ended, or has a successor already. Of two rotations at once, one
    succeeds.

    Raises:
        TooMany: the client has MOST_LIVE keys that work; during an overlap the old key is one of them.
    """
    return _bounded(
        f"""
        WITH old AS MATERIALIZED (
            SELECT *, nextval(pg_get_serial_sequence('keys', 'id')) AS successor FROM keys
            WHERE id = %s AND replaced_by IS NULL AND {_LIVE} FOR UPDATE
        ), ended AS (
            UPDATE keys AS k
            SET replaced_by = old.successor,
                expires_at = least(k.expires_at, now() + %s * interval '1 second')
            FROM old WHERE k.id = old.id
        )
        INSERT INTO keys (id, client_id, name, digest, scopes, sandbox, expires_at)
        SELECT successor, client_id, name, %s, scopes, sandbox,
               least(CASE WHEN expires_at IS NOT NULL THEN least(now() + (expires_at - created_at), {_LATEST}) END,
                     {_END_OF_MAKER})
        FROM old
        RETURNING {_COLUMNS}
        """,
        *(id, overlap, digest, maker),
    )


def live(ids: Iterable[int]) -> dict[int, Live]:
    """Return those of these keys that work now, by id."""
    found = rows(
        f"""
        SELECT k.id, k.digest, k.scopes, k.sandbox, extract(epoch FROM k.expires_at - now())::float8,
               coalesce(k.last_used_at < now() - %s * interval '1 second', true), {_CLIENT}
        FROM keys AS k JOIN clients AS c ON c.id = k.client_id
        WHERE k.id = ANY(%s) AND {_LIVE} AND c.disabled_at IS NULL
        """,
        USE_NOTED_EVERY,
        list(ids),
    )
    return {
        id: Live(id, bytes(digest), frozenset(scopes), sandbox, expires_in, unnoted, Client(*client))
        for id, digest, scopes, sandbox, expires_in, unnoted, *client in found
    }


def used(id: int) -> None:
    """Record that a key was used, unless that was recorded within the last minute."""
    rows(
        """
        UPDATE keys SET last_used_at = now()
        WHERE id = %s AND (last_used_at IS NULL OR last_used_at < now() - %s * interval '1 second')
        RETURNING id
        """,
        id,
        USE_NOTED_EVERY,
    )


def _bounded(sql: str, *parameters: object) -> Key | None:
    """Run a statement that creates a key. Raises TooMany if the client then has more than MOST_LIVE that work."""
    with database.atomic():
        made = _one(sql, *parameters)
        if made is not None:
            one_at_a_time(LOCK, made.client_id)
            # A statement of its own, so that it sees what was committed before the lock was free.
            [(number,)] = rows(f"SELECT count(*) FROM keys WHERE client_id = %s AND {_LIVE}", made.client_id)
            if number > MOST_LIVE:
                raise TooMany
    return made


def _one(sql: str, *parameters: object) -> Key | None:
    found = rows(sql, *parameters)
    return Key(*found[0]) if found else None
