"""(client) -> pending, or failed where it is suppressed, once for each key: what makes a POST safe to repeat.

The key is stored by the statement that stores the notification, so there is never the one without
the other. Of several that bring the same key at the same moment one is first, and the others wait
for its transaction, for a bounded time. Keys are taken in their order, so that two statements never
wait for each other. Call within `connection()`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from db.client_view import VIEW
from db.database import rows
from db.drafts import Group
from db.lifecycle import accept, accept_keyed
from db.records import COLUMN_TYPES, DRAFT_COLUMNS, Accepted, Draft


class Key(NamedTuple):
    """`digest`: SHA-256 of the request, which the key stands for from then on."""

    key: str
    digest: bytes


class Post(NamedTuple):
    """A notification to be stored, once where it has a key."""

    draft: Draft
    key: Key | None = None


class Stored(NamedTuple):
    """What was stored, now or earlier under the same key, as it was when it was accepted."""

    accepted: Accepted
    draft: Draft
    replayed: bool = False


class Refusal(Enum):
    """Why nothing was stored. The value is a sentence for the client."""

    OTHER = "was used for another request: send a new key, or the same request"
    GONE = "was used for a notification that has been deleted since: send a new key"
    BUSY = "is in use by a request that is not answered yet"


Outcome = Stored | Refusal

# JSON comes back as the text that a draft has.
_CAST = {"jsonb": "::text"}
AS_DRAFTED = ", ".join(f"n.{name}{_CAST.get(COLUMN_TYPES[name], '')}" for name in DRAFT_COLUMNS)


def accept_once(posts: Sequence[Post], grace: float, wait: float, left: Collection[Group] = ()) -> list[Outcome]:
    """Store those whose key is new, or that have none, as `fate` says; find what the others' keys stand for.

    Raises Contended where another transaction that is writing one of these keys did not end within
    `wait` seconds.
    """
    if all(post.key is None and not post.draft.contents for post in posts):  # At half the cost.
        accepted = accept([post.draft for post in posts], grace, left)
        return [Stored(one, post.draft) for one, post in zip(accepted, posts, strict=True)]
    stored = accept_keyed([post.draft for post in posts], [post.key for post in posts], grace, wait, left)
    known = _known([p for place, p in enumerate(posts) if place not in stored])
    return [
        Stored(stored[place], post.draft) if place in stored else _earlier(post, known)
        for place, post in enumerate(posts)
    ]


def find(client_id: int, key: Key) -> Outcome | None:
    """What a key stands for, or None while nobody has used it."""
    return find_each(client_id, [key]).get(key.key)


def find_each(client_id: int, keys: Sequence[Key]) -> dict[str, Outcome]:
    """The same for many; those that nobody has used are not among them."""
    known = _known_to(client_id, [key.key for key in keys])
    return {key.key: known[client_id, key.key].answer(key) for key in keys if (client_id, key.key) in known}


def forget(age: float, most: int) -> None:
    """Delete up to `most` keys that are older than `age` seconds."""
    rows(
        """
        DELETE FROM idempotency_keys WHERE (client_id, key) IN (
            SELECT client_id, key FROM idempotency_keys WHERE created_at < now() - %s * interval '1 second'
            ORDER BY created_at LIMIT %s FOR UPDATE SKIP LOCKED)
        """,
        age,
        most,
    )


class _Known(NamedTuple):
    """What a key stands for. `row`: the notification's id, created_at and draft, None where it was deleted."""

    digest: bytes
    stored: Stored | None

    def answer(self, key: Key) -> Outcome:
        if self.digest != key.digest:
            return Refusal.OTHER
        return self.stored or Refusal.GONE


def _earlier(post: Post, known: dict[tuple[int, str], _Known]) -> Outcome:
    assert post.key is not None  # noqa: S101 - without a key it was stored
    found = known.get((post.draft.client_id, post.key.key))
    # Not there: it was deleted for its age at this very moment, so that a repetition will find it new.
    return found.answer(post.key) if found else Refusal.BUSY


def _known(posts: Sequence[Post]) -> dict[tuple[int, str], _Known]:
    known: dict[tuple[int, str], _Known] = {}
    for client_id in {p.draft.client_id for p in posts}:
        known |= _known_to(client_id, [p.key.key for p in posts if p.key and p.draft.client_id == client_id])
    return known


def _known_to(client_id: int, keys: Sequence[str]) -> dict[tuple[int, str], _Known]:
    found = rows(
        f"""
        SELECT k.key, k.digest, k.send_at, k.expires_at, k.suppressed, n.id, n.created_at, {AS_DRAFTED}
        FROM idempotency_keys AS k LEFT JOIN {VIEW} AS n ON n.id = k.notification_id AND n.erased_at IS NULL
        WHERE k.client_id = %s AND k.key = ANY(%s)
        """,
        client_id,
        list(keys),
    )
    return {(client_id, key): _Known(bytes(digest), as_accepted(*rest)) for key, digest, *rest in found}


def as_accepted(
    send_at: datetime | None,
    expires_at: datetime | None,
    suppressed: str | None,
    id: int | None,
    created_at: datetime,
    *draft: object,
) -> Stored | None:
    """A notification as its first answer showed it, or None where it was deleted since.

    All the columns of its draft are as they were, except these two times, which may have been changed;
    what was suppressed may have been retried.
    """
    first = Draft(*draft)._replace(send_at=send_at, expires_at=expires_at)  # type: ignore[arg-type]
    if id is None:
        return None
    return Stored(Accepted(id, created_at, "suppressed" if suppressed else None, suppressed), first, replayed=True)
