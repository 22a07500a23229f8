"""Await `begin` when an HTTP connection is there, just before the request is sent."""

from __future__ import annotations

from aiohttp.connector import Connection

from actors.channels import Begin


class TakenOver(Exception):
    """`begin` returned False: another worker has claimed the notification. Nothing was sent."""


async def begin_over(connection: Connection, begin: Begin) -> None:
    """Await `begin`, and close the connection unless it returns True. Raises TakenOver."""
    try:
        if not await begin():
            raise TakenOver
    except BaseException:
        connection.close()
        raise
