"""Sessions: people at the dashboard who have come in with a key. Call within `connection()`.

A session is a random token that a browser holds; only its digest is here. It is good for as long as
its key is, and no longer than it was begun for.
"""

from __future__ import annotations

from collections.abc import Sequence

from db import keys
from db.database import rows
from db.keys import Live

FORGOTTEN = 100  # sessions that are over, at each beginning of another: more than come


def begin(digest: bytes, key: int, seconds: float) -> None:
    """A session of this key, for so long."""
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
    """The keys of those of these sessions that are good now."""
    held = {
        bytes(digest): key
        for digest, key in rows(
            "SELECT digest, key_id FROM sessions WHERE digest = ANY(%s) AND ends_at > now()", list(digests)
        )
    }
    known = keys.live(held.values()) if held else {}
    return {digest: known[key] for digest, key in held.items() if key in known}


def end(digest: bytes) -> tuple[int, int] | None:
    """Whoever holds its token is a stranger from now on.

    Returns the client and the key that it was begun with; None where there was no such session.
    """
    sql = (
        "DELETE FROM sessions AS s USING keys AS k WHERE s.digest = %s AND k.id = s.key_id RETURNING k.client_id, k.id"
    )
    ended = rows(sql, digest)
    return ended[0] if ended else None
