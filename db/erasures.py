"""Erasures: remove the content of what a client has sent to one address; keep states, times and counts.

    (request) -> stopping -> erasing -> done

`stopping`: pending notifications are cancelled, and those being sent get no further attempt. `erasing`: no worker
begins any of them, and the content of each is removed once it is final. Each step is one transaction over a
bounded number of rows, which it finds anew. So a process that dies leaves nothing half done, and two processes at
once are safe. The table holds the address itself until the erasure is done. Call within `connection()`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from db import audit, erasing, suppressions
from db.audit import Act, By
from db.database import database, rows
from db.erasing import Of

Row = dict[str, Any]
LEASE = 10.0  # seconds after which another worker continues, if the one that took the erasure has died
_SHOWN = (
    *("id", "client_id", "recipient", "created_at", "stopped_at", "done_at"),
    *("cancelled", "erased", "copies", "callbacks"),
)
_COLUMNS = ", ".join(_SHOWN)


class Work(NamedTuple):
    """An unfinished erasure, locked until the end of the transaction."""

    id: int
    of: Of
    stopped: bool
    rest: list[int]
    keys_after: str | None


def begin(client_id: int, address: str, by: By) -> int:
    """Request the erasure of what was accepted until now. Return its id.

    If an erasure of this address is under way, extend that one and return its id.
    """
    marked = audit.mark(address)
    with database.atomic():
        made = rows(
            """
            INSERT INTO erasures (client_id, recipient, address, last_id, due_at)
            SELECT %s, %s, %s, CASE WHEN is_called THEN last_value ELSE 0 END, now() + %s * interval '1 second'
            FROM notifications_id_seq
            ON CONFLICT (client_id, address) WHERE done_at IS NULL
            -- Include what was accepted since the first request; it may have to be stopped.
            DO UPDATE SET last_id = excluded.last_id, stopped_at = NULL, keys_after = ''
            RETURNING id
            """,
            *(client_id, marked, address, LEASE),
        )
        id = int(made[0][0])
        audit.record(by, Act("erasure.requested", client_id, f"erasure {id}", {"recipient": marked}, "begun"))
    return id


def take() -> int | None:
    """Take a due erasure for LEASE seconds and return its id, or None."""
    found = rows(
        """
        UPDATE erasures SET due_at = now() + %s * interval '1 second' WHERE done_at IS NULL AND id IN (
            SELECT id FROM erasures WHERE done_at IS NULL AND due_at <= now()
            ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING id
        """,
        LEASE,
    )
    return int(found[0][0]) if found else None


def give_back(id: int, pause: float) -> None:
    """Let the next worker continue the erasure in `pause` seconds."""
    rows("UPDATE erasures SET due_at = now() + %s * interval '1 second' WHERE id = %s AND done_at IS NULL", pause, id)


def step(id: int, most: int, by: By) -> bool:
    """Process up to `most` rows and return whether there was anything to do. Finish the erasure if nothing is left."""
    with database.atomic():
        work = _locked(id)
        if work is None:
            return False
        # A notification that was being sent may be pending again.
        if erasing.stop(id, work.of, most, by.key_id):
            return True
        if not work.stopped:
            rows("UPDATE erasures SET stopped_at = now() WHERE id = %s", id)
            return True
        return _erased(work, most) or _finished(work, by)


def one(client_id: int, id: int) -> Row | None:
    """Return an erasure without its address, with `left`: how many rows are still to be erased."""
    found = rows(
        f"SELECT {_COLUMNS}, address, last_id, cardinality(rest) FROM erasures WHERE client_id = %s AND id = %s",
        *(client_id, id),
    )
    if not found:
        return None
    [(*values, address, last_id, rest)] = found
    left = 0 if address is None else erasing.left(Of(client_id, address, last_id)) + rest
    return {**dict(zip(_SHOWN, values, strict=True)), "left": left}


def _locked(id: int) -> Work | None:
    found = rows(
        "SELECT id, client_id, address, last_id, stopped_at IS NOT NULL, rest, keys_after FROM erasures"
        " WHERE id = %s AND done_at IS NULL FOR UPDATE",
        id,
    )
    return next((Work(i, Of(*of), stopped, rest, keys) for i, *of, stopped, rest, keys in found), None)


def _erased(work: Work, most: int) -> bool:
    if erasing.erase(work.id, work.of, most) or erasing.rinse(work.id, work.of, work.rest):
        return True
    if work.keys_after is None:
        return False
    erasing.forget_in_keys(work.id, work.of, work.keys_after, most)
    return True


def _finished(work: Work, by: By) -> bool:
    if work.rest or erasing.left(work.of):
        return False
    suppressed = suppressions.hide(work.of.client_id, work.of.address)
    erasing.forget_elsewhere(work.of)
    [(marked, *counts)] = rows(
        "UPDATE erasures SET done_at = now(), address = NULL WHERE id = %s"
        " RETURNING recipient, cancelled, erased, copies, callbacks",
        work.id,
    )
    told = dict(zip(("cancelled", "erased", "copies", "callbacks"), counts, strict=True))
    detail = {"recipient": marked, **told, "suppressed": suppressed}
    audit.record(by, Act("erasure.done", work.of.client_id, f"erasure {work.id}", detail))
    return True
