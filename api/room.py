"""How much large bodies may hold of this process's memory at a time."""

from __future__ import annotations

from db.coalesce import Full

SMALL = 2**20  # bytes: a body without attachments has no more, and what it holds is bounded by connections


class Room:
    """So many bytes of bodies that are larger than SMALL; for the event loop alone."""

    def __init__(self, most: float) -> None:
        self._free = most

    def guest(self) -> Guest:
        """For one request."""
        return Guest(self)

    def take(self, size: int) -> None:
        """Raises Full where there is no room; then nothing is taken."""
        if size > self._free:
            raise Full("bodies")
        self._free -= size

    def give_back(self, size: int) -> None:
        self._free += size


class Guest:
    """What one request has taken; given back when it is answered, however that ends."""

    __slots__ = ("_room", "_taken")

    def __init__(self, room: Room) -> None:
        self._room, self._taken = room, 0

    def needs(self, size: int) -> None:
        """Make sure of room for a body of `size` bytes; raises Full."""
        if size > SMALL and size > self._taken:
            self._room.take(size - self._taken)
            self._taken = size

    def leave(self) -> None:
        self._room.give_back(self._taken)
        self._taken = 0
