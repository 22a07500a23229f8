"""Changes of what all workers share in the database, asked for on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing

from db.database import Unavailable, connection, database
from runtime import logs

log = logs.get("breaker")


async def change(statement: Callable[[], bool | None], refresh: Callable[[], None], *, failed: str) -> bool:
    """Run a database call, and `refresh` after it, in a thread that keeps no connection.

    Return what the call returned; False if the database is not available, or if it failed otherwise, which is logged
    as the event `failed`: the outcome of the attempt that it is about must be recorded anyway.
    """
    return await asyncio.to_thread(_changed, statement, refresh, failed)


def _changed(statement: Callable[[], bool | None], refresh: Callable[[], None], failed: str) -> bool:
    try:
        with closing(database), connection():
            changed = bool(statement())
            refresh()
            return changed
    except Unavailable:
        return False
    except Exception:
        log.exception(failed)
        return False
