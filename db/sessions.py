"""Logins at the dashboard with an API key. Call within `connection()`.

The browser holds a random token; only its digest is stored. A session ends with its key, or after the time that it
was begun for.
"""

from __future__ import annotations

from collections.abc import Sequence

from db import keys
from db.database import rows
from db.keys import Live

FORGOTTEN = 100  # ended sessions that `begin` deletes each time: more than it adds


def begin(digest: bytes, key: int, seconds: float) -> None:
    """Begin a session with a key for this many seconds, and delete sessions that have ended."""
    rows(
        """
        WITH over AS (
            SELECT digest FROM sessions WHERE ends_at <= now() ORDER BY ends_at LIMIT %s FOR UPDATE SKIP LOCKED
        ), forgotten AS (
            DELETE FROM sessions AS s USING over WHERE s.digest = over.digest
        )
        INSERT INTO sessions (digest, key_id, ends_at) VALUES (%s, %s, now() + %s * interval '1 second')
        """,
        FORGOTTEN,
        digest,
        key,
        seconds,
    )


def live(digests: Sequence[bytes]) -> dict[bytes, Live]:
    """Return the keys of those sessions that are valid now, by digest."""
    held = {
        bytes(digest): key
        for digest, key in rows(
            "SELECT digest, key_id FROM sessions WHERE digest = ANY(%s) AND ends_at > now()", list(digests)
        )
    }
    known = keys.live(held.values()) if held else {}
    return {digest: known[key] for digest, key in held.items() if key in known}


def end(digest: bytes) -> tuple[int, int] | None:
    """End a session. Return the ids of its client and key, or None if there was no such session."""
    sql = (
        "DELETE FROM sessions AS s USING keys AS k WHERE s.digest = %s AND k.id = s.key_id RETURNING k.client_id, k.id"
    )
    ended = rows(sql, digest)
    return ended[0] if ended else None
