"""Bound on how much memory the large bodies of requests hold of this process at a time."""

from __future__ import annotations

from api.access.shares import Shares

SMALL = 2**20  # bytes: a body without attachments has no more, and what it holds is bounded by connections


class Reservation:
    """What one request has reserved of `memory`; given back when it is answered, however that ends.

    The client that is charged is known once the request is authenticated: set `client` before `need`.
    """

    __slots__ = ("_memory", "_reserved", "client")

    def __init__(self, memory: Shares) -> None:
        self._memory, self._reserved = memory, 0
        self.client: object = None

    def need(self, size: int) -> None:
        """Reserve memory for a body of `size` bytes; raises Full where there is none for this client."""
        if size > SMALL and size > self._reserved:
            self._memory.take(self.client, size - self._reserved)
            self._reserved = size

    def give_back(self) -> None:
        """Give back what is reserved."""
        if self._reserved:
            self._memory.give_back(self.client, self._reserved)
            self._reserved = 0
