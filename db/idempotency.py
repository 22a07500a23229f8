"""Accept notifications once for each idempotency key, so that a client can safely repeat a POST.

The statement that stores a notification also stores its key, so neither exists without the other. If several requests
bring the same key at the same time, one is first; the others wait for its transaction, for a bounded time. Call
within `connection()`.
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
    """An idempotency key. `digest`: SHA-256 of the request that it stands for."""

    key: str
    digest: bytes


class Post(NamedTuple):
    """A notification to store; with a key, it is stored once."""

    draft: Draft
    key: Key | None = None


class Stored(NamedTuple):
    """A stored notification, as it was when it was accepted. `replayed`: an earlier request with the key stored it."""

    accepted: Accepted
    draft: Draft
    replayed: bool = False


class Refusal(Enum):
    """The reason why nothing was stored. The value is the end of a sentence for the client."""

    OTHER = "was used for another request: send a new key, or the same request"
    GONE = "was used for a notification that has been deleted since: send a new key"
    BUSY = "is in use by a request that is not answered yet"


Outcome = Stored | Refusal

# Drafts hold JSON as text.
_CAST = {"jsonb": "::text"}
AS_DRAFTED = ", ".join(f"n.{name}{_CAST.get(COLUMN_TYPES[name], '')}" for name in DRAFT_COLUMNS)


def accept_once(posts: Sequence[Post], grace: float, wait: float, left: Collection[Group] = ()) -> list[Outcome]:
    """Store the posts that have no key or a new one; for the others, find what their key stands for.

    `grace` and `left` are those of `lifecycle.accept`. Raises Contended if another transaction that inserts one of
    these keys does not end within `wait` seconds.
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
    """Return what a key stands for, or None if it was not used yet."""
    return find_each(client_id, [key]).get(key.key)


def find_each(client_id: int, keys: Sequence[Key]) -> dict[str, Outcome]:
    """Return what each of these keys stands for; keys that were not used are left out."""
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
    """A key that was used. `stored`: its notification, None if that was deleted."""

    digest: bytes
    stored: Stored | None

    def answer(self, key: Key) -> Outcome:
        if self.digest != key.digest:
            return Refusal.OTHER
        return self.stored or Refusal.GONE


def _earlier(post: Post, known: dict[tuple[int, str], _Known]) -> Outcome:
    assert post.key is not None  # noqa: S101 - without a key it was stored
    found = known.get((post.draft.client_id, post.key.key))
    # Not found: it was just deleted for its age. When the client repeats the request, the key is new.
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
    """Return a notification as the first answer showed it, or None if it was deleted since.

    The key has the first values of what may have changed since: the two times, and `suppressed`, the reason if it was
    suppressed (it may have been retried). `id`, `created_at` and `draft` are columns of the notification.
    """
    first = Draft(*draft)._replace(send_at=send_at, expires_at=expires_at)  # type: ignore[arg-type]
    if id is None:
        return None
    return Stored(Accepted(id, created_at, "suppressed" if suppressed else None, suppressed), first, replayed=True)
