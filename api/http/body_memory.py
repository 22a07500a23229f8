"""Limit of the memory that the large bodies of requests take in this process at a time."""

from __future__ import annotations

from api.access.shares import Shares

# A body without attachments has no more bytes. The memory of small bodies is limited by the number of connections.
SMALL = 2**20


class Reservation:
    """Memory that one request has reserved; given back when the request ends, for whatever reason.

    Set `client`, who is charged, once the request is authenticated, and before `need`.
    """

    __slots__ = ("_memory", "_reserved", "client")

    def __init__(self, memory: Shares) -> None:
        self._memory, self._reserved = memory, 0
        self.client: object = None

    def need(self, size: int) -> None:
        """Reserve memory for a body of `size` bytes; raise Full if this client can have no more."""
        if size > SMALL and size > self._reserved:
            self._memory.take(self.client, size - self._reserved)
            self._reserved = size

    def give_back(self) -> None:
        """Give back the reserved memory."""
        if self._reserved:
            self._memory.give_back(self.client, self._reserved)
            self._reserved = 0
