"""Cache of API keys: the database is asked again after KEY_CACHE seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from hmac import compare_digest
from typing import NamedTuple

from db import keys
from db.coalesce import Coalescer
from db.database import Unavailable, connection
from db.keys import Live
from db.secrets import KeyText
from settings import Settings


class _Known(NamedTuple):
    """Answer of the database, valid until this `time.monotonic()`; `live` is None if no such key works."""

    live: Live | None
    until: float


class _Asked(NamedTuple):
    """Lookup in progress since this `time.monotonic()`."""

    answer: asyncio.Future[Live | None]
    since: float


CACHED = 10_000  # keys that are remembered, and as many that do not exist
WAITING = 10_000  # lookups in one API process; more are refused with Full


class Keyring:
    """Finds keys that may be used. Its answers are at most KEY_CACHE seconds old, in every process.

    An answer's age counts from the start of its lookup. Requests that want the same key at the same time share one
    lookup, and lookups at about the same time share one statement.
    """

    def __init__(self, settings: Settings) -> None:
        self._seconds, self._most = settings.access.key_cache, CACHED
        # A database that hangs does not enforce its own timeouts.
        self._timeout = settings.database.connect_timeout + settings.database.statement_timeout
        # Invented keys are kept apart, so that they do not evict valid ones.
        self._works: dict[int, _Known] = {}
        self._fails: dict[int, _Known] = {}
        self._asked: dict[int, _Asked] = {}
        self._lookups: Coalescer[int, Live | None] = Coalescer(
            "keys", _look_up, most=settings.store.accept_batch, waiting=WAITING
        )

    async def live(self, key: KeyText) -> Live | None:
        """Return the key if it may be used and its secret is right, or None; raise Unavailable or Full."""
        known = self._works.get(key.id) or self._fails.get(key.id)
        found = known.live if known and time.monotonic() < known.until else await self._ask(key.id)
        # The time that this takes must not tell an attacker how much of a guessed secret is right.
        if found and compare_digest(found.digest, key.digest) and found.sandbox == key.sandbox:
            return found
        return None

    def close(self, timeout: float) -> None:
        self._lookups.close(timeout)

    async def _ask(self, id: int) -> Live | None:
        now = time.monotonic()
        asked = self._asked.get(id)
        if asked is None or now - asked.since > self._seconds:
            asked = self._asked[id] = _Asked(self._lookups.ask(id), now)
            asked.answer.add_done_callback(lambda _: self._learn(id, asked))
        try:
            async with asyncio.timeout(self._timeout):
                # A request that gives up must not cancel the lookup for the others.
                return await asyncio.shield(asked.answer)
        except TimeoutError:
            raise Unavailable(f"no answer within {self._timeout:g} seconds") from None

    def _learn(self, id: int, asked: _Asked) -> None:
        if self._asked.get(id) is asked:
            del self._asked[id]
        if asked.answer.cancelled() or asked.answer.exception():
            return
        live = asked.answer.result()
        seconds = self._seconds
        if live and live.expires_in is not None:
            seconds = min(seconds, live.expires_in)
        self._works.pop(id, None)
        self._fails.pop(id, None)
        place = self._works if live else self._fails
        if len(place) >= self._most:
            del place[next(iter(place))]
        place[id] = _Known(live, asked.since + seconds)


def _look_up(ids: Sequence[int]) -> list[Live | None]:
    with connection():
        found = keys.live(ids)
    return [found.get(id) for id in ids]
