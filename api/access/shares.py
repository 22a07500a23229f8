"""Fair division of a limited resource of an API process between clients."""

from __future__ import annotations

from collections import Counter

from db.coalesce import Full

# A client may hold this many times what is left for the others.
WEIGHT = 3


class Shares:
    """Resource of `most` units, parts of which clients hold. Use it on the event loop only.

    A client may hold up to WEIGHT times what is left afterwards: one alone gets three quarters, two get three
    sevenths each, and something is always left for the next one (dynamic thresholds, as in the buffers of network
    switches: Choudhury and Hahne, 1998). A client that holds nothing may take all that is left. With
    `divided=False`, for an installation with one client, everything may be held by one.
    """

    def __init__(self, what: str, most: float, *, divided: bool = True) -> None:
        self._what, self._free, self._divided = what, most, divided
        self._held: Counter[object] = Counter()

    def take(self, client: object, number: int = 1) -> None:
        """Take `number` units for a client; raise Full, and take nothing, if that is more than its share."""
        self.check(client, number)
        self._free -= number
        self._held[client] += number

    def check(self, client: object, number: int = 1) -> None:
        """Raise Full if a client cannot have `number` more units now."""
        left, held = self._free - number, self._held.get(client, 0)
        if left < 0 or (self._divided and held and held + number > WEIGHT * left):
            raise Full(self._what)

    def give_back(self, client: object, number: int = 1) -> None:
        """Give back `number` units of a client."""
        self._free += number
        self._held[client] -= number
        if not self._held[client]:
            del self._held[client]
