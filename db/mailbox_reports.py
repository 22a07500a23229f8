"""Reports from a mailbox, where the same message can be found again."""

from __future__ import annotations

import hashlib

from db.database import rows
from db.incoming_reports import LONGEST

SOURCE = "imap"


def store_once(raw: bytes) -> int | None:
    """Store a report and return its id, or None if the same message is stored already. Call within `connection()`."""
    kept = raw[:LONGEST]
    found = rows(
        """
        INSERT INTO reports (source, raw, digest) VALUES (%s, %s, %s)
        ON CONFLICT (digest) WHERE digest IS NOT NULL DO NOTHING RETURNING id
        """,
        *(SOURCE, kept, hashlib.sha256(kept).digest()),
    )
    return int(found[0][0]) if found else None
