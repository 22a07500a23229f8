"""Detour: what goes on while the provider of a message is blocked, such as by a pause that it has asked for.

The notifications of a message have the same channel, but perhaps different clients. Those whose clients may not use the
blocked provider need not wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing

from actors.provider_queue import ProviderQueue
from actors.routing import Router
from db import provider_access
from db.database import connection, database


async def around(
    blocked: ProviderQueue, ids: Sequence[int], router: Router
) -> tuple[ProviderQueue | None, Sequence[int]]:
    """Return a provider that is free, and those of `ids` whose clients may use a free one and not the blocked one.

    Return None and no ids if there are none.
    """
    free = [queue for queue in router.queues if queue.breaker.usable and queue is not blocked and not queue.blocked(1)]
    if not (free and router.restricts):
        return None, ()
    found = await asyncio.to_thread(_restricted, ids)
    may = [
        id
        for id, client in found
        if not router.allows(blocked, client) and any(router.allows(queue, client) for queue in free)
    ]
    return (free[0], may) if may else (None, ())


def _restricted(ids: Sequence[int]) -> list[tuple[int, int]]:
    with closing(database), connection():
        return provider_access.restricted(ids)
