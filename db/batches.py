"""Accept many notifications in one transaction. Call within `connection()`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from db.client_view import VIEW
from db.database import Contended, database, rows
from db.drafts import Group
from db.idempotency import (
    AS_DRAFTED,
    Key,
    Outcome,
    Post,
    Refusal,
    Stored,
    accept_once,
    as_accepted,
)
from db.lifecycle import BOUNDED_WAIT, milliseconds
from db.records import Draft

# The faults that the caller found in an item. They are stored as they are, for a replay of the answer.
Faults = list[dict[str, str]]


class Batch(NamedTuple):
    """A batch of a client. Each item is a post to store, the outcome of an earlier request, or faults.

    `partial`: store the items that can be stored, even if others cannot; otherwise store all or none.
    """

    client_id: int
    items: Sequence[Post | Outcome | Faults]
    partial: bool = False
    key: Key | None = None

    def drafts(self) -> list[Draft]:
        """Return the drafts to store."""
        return [item.draft for item in self.items if isinstance(item, Post)]


class Answer(NamedTuple):
    """The outcome of each item. `undone`: nothing was stored, because an item was refused."""

    items: Sequence[Outcome | Faults]
    replayed: bool = False
    undone: bool = False


class _Undone(Exception):
    """Roll the transaction back."""


def accept_batch(batch: Batch, grace: float, wait: float, left: Collection[Group] = ()) -> Answer | Refusal:
    """Store the items, once for each idempotency key of an item or of the batch.

    Return a Refusal if the key of the batch is refused. Raises Contended, and stores nothing, if another transaction
    that inserts one of these keys does not end within `wait` seconds, or waits for a key of this one.
    """
    items: list[Outcome | Faults] = []
    try:
        with database.atomic():
            if batch.key and not _take(batch.client_id, batch.key, wait):
                return _earlier(batch.client_id, batch.key)
            items = _accept(batch.items, grace, wait, left)
            if Refusal.BUSY in items:
                raise Contended("a key was deleted for its age at this moment")
            if not batch.partial and not all(isinstance(item, Stored) for item in items):
                raise _Undone
            if batch.key:
                _remember(batch.client_id, batch.key, items)
    except _Undone:
        return Answer(items, undone=True)
    return Answer(items)


def find_batch(client_id: int, key: Key) -> Answer | Refusal | None:
    """Return the answer to the batch with this key, or None if the key was not used yet."""
    return _earlier(client_id, key) if rows(_USED, client_id, key.key) else None


_USED = "SELECT true FROM idempotency_keys WHERE client_id = %s AND key = %s"


def _accept(
    items: Sequence[Post | Outcome | Faults], grace: float, wait: float, left: Collection[Group]
) -> list[Outcome | Faults]:
    posts = {place: item for place, item in enumerate(items) if isinstance(item, Post)}
    outcomes = accept_once(list(posts.values()), grace, wait, left) if posts else []
    found: dict[int, Outcome] = dict(zip(posts, outcomes, strict=True))
    return [found[place] if isinstance(item, Post) else item for place, item in enumerate(items)]


def _take(client_id: int, key: Key, wait: float) -> bool:
    """Store the key of the batch, and return whether it is new."""
    return bool(
        rows(
            f"""
            WITH {BOUNDED_WAIT}
            INSERT INTO idempotency_keys (client_id, key, digest, answer) SELECT %s, %s, %s, '[]' FROM bounded
            ON CONFLICT DO NOTHING RETURNING true
            """,
            milliseconds(wait),
            client_id,
            *key,
        )
    )


def _remember(client_id: int, key: Key, items: Sequence[Outcome | Faults]) -> None:
    answer = orjson.dumps([_noted(item) for item in items]).decode()
    sql = "UPDATE idempotency_keys SET answer = %s WHERE client_id = %s AND key = %s"
    rows(sql, answer, client_id, key.key)


def _noted(item: Outcome | Faults) -> dict[str, Any]:
    if isinstance(item, Refusal):
        return {"refusal": item.name}
    if isinstance(item, Stored):
        times = {"sendAt": item.draft.send_at, "expiresAt": item.draft.expires_at}
        return {"id": item.accepted.id, "replayed": item.replayed, "suppressed": item.accepted.last_error, **times}
    return {"faults": item}


def _earlier(client_id: int, key: Key) -> Answer | Refusal:
    found = rows("SELECT digest, answer FROM idempotency_keys WHERE client_id = %s AND key = %s", client_id, key.key)
    if not found:  # It was just deleted for its age: when the client repeats the request, the key is new.
        return Refusal.BUSY
    [(digest, notes)] = found
    if bytes(digest) != key.digest or notes is None:
        return Refusal.OTHER
    ids = [record["id"] for record in notes if "id" in record]
    columns = rows(
        f"SELECT n.id, n.created_at, {AS_DRAFTED} FROM {VIEW} AS n WHERE n.id = ANY(%s) AND n.erased_at IS NULL",
        ids,
    )
    known = {row[0]: row for row in columns}
    if len(known) < len(set(ids)):
        return Refusal.GONE
    return Answer([_recalled(record, known) for record in notes], replayed=True)


def _recalled(record: dict[str, Any], known: dict[int, tuple[Any, ...]]) -> Outcome | Faults:
    if "refusal" in record:
        return Refusal[record["refusal"]]
    if "faults" in record:
        faults: Faults = record["faults"]
        return faults
    times = _time(record["sendAt"]), _time(record["expiresAt"])
    stored = as_accepted(*times, record.get("suppressed"), *known[record["id"]])
    assert stored is not None  # noqa: S101 - its row was found
    return stored._replace(replayed=record["replayed"])


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
