"""Check that notifications to destinations, such as chat messages, name one that exists and takes them."""

from __future__ import annotations

import time

from actors.channels.contract import Content, Fault
from actors.channels.registry import channel
from api.access.auth import Caller
from api.store import NotificationStore
from db import destinations
from db.destinations import Key

KEPT = 1.0  # seconds; one that is deleted in this time still fails when it is sent
MOST = 10_000  # destinations that are kept
_UNKNOWN = "is not the name of a destination: create it with POST /api/destinations"


class NamedDestinations:
    """Look-up of destinations, which keeps what it has found for a moment: the items of a batch often share one."""

    def __init__(self, store: NotificationStore) -> None:
        self._store = store
        self._kept: dict[Key, tuple[float, str]] = {}  # until when (`time.monotonic()`), and the kind

    async def faults(self, caller: Caller, type: str, content: Content) -> list[Fault]:
        """Return the faults of content for its destination; none if the recipients of the type are no destinations.

        The sandbox also takes names that do not exist: some of them simulate a failure.
        """
        check = channel(type).destination_faults
        if check is None:
            return []
        kind = await self._kind((caller.client_id, content.recipient))
        if kind is None:
            return [] if caller.sandbox else [{"pointer": "/recipient", "detail": _UNKNOWN}]
        return check(kind, content)

    async def _kind(self, key: Key) -> str | None:
        now = time.monotonic()
        until, kind = self._kept.get(key, (0.0, ""))
        if now < until:
            return kind
        client_id, name = key
        found = (await self._store.read(destinations.kinds, client_id, [name])).get(name)
        if found is not None:
            if len(self._kept) >= MOST:
                self._kept.clear()
            self._kept[key] = (now + KEPT, found)
        return found
