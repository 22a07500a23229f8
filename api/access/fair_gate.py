"""Fair admission of clients to a limited number of places."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque

from api.access.shares import Shares

Group = object  # a client's number, or a name for several clients that share what one client gets


class FairGate:
    """Admits `most` at a time, taking turns between the groups that wait. Use it on the event loop only.

    One group never gets all places, unless there is only one, so that it does not block the others; with
    `divided=False`, for an installation with one client, it may. At most `waiting` can wait.
    """

    def __init__(self, what: str, most: int, waiting: int, *, divided: bool = True) -> None:
        self._most = most
        self._of_one = max(1, most - 1) if divided else most
        self._admitted: Counter[Group] = Counter()
        self._total = 0  # of `_admitted`
        self._queues: OrderedDict[Group, deque[asyncio.Future[None]]] = OrderedDict()
        self._room = Shares(what, waiting, divided=divided)

    def enter_at_once(self, group: Group) -> bool:
        """Take a place and return True if one is free and no group waits; give it back with `leave`."""
        if self._queues or not self._may(group):
            return False
        self._let_in(group)
        return True

    async def enter(self, group: Group) -> None:
        """Wait for a place; give it back with `leave`. Raise Full if too many wait already."""
        if self.enter_at_once(group):
            return
        self._room.take(group)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(group, deque()).append(turn)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # The place was granted to a caller that is gone.
                self.leave(group)
            raise
        finally:
            self._room.give_back(group)

    def leave(self, group: Group) -> None:
        """Give back a place, and admit whoever waits for it."""
        self._total -= 1
        self._admitted[group] -= 1
        if not self._admitted[group]:
            del self._admitted[group]
        self._admit()

    def _may(self, group: Group) -> bool:
        return self._total < self._most and self._admitted.get(group, 0) < self._of_one

    def _let_in(self, group: Group) -> None:
        self._total += 1
        self._admitted[group] += 1

    def _admit(self) -> None:
        """Admit the first caller of each group, one group after the other, while there are places."""
        for group in list(self._queues):
            if self._total >= self._most:
                return
            queue = self._queues[group]
            while queue and queue[0].done():  # Its caller has given up.
                queue.popleft()
            if queue and self._may(group):
                self._let_in(group)
                queue.popleft().set_result(None)
                self._queues.move_to_end(group)
            if not queue:
                del self._queues[group]
