"""Routing: which provider takes a notification.

The best priority that has a working provider gets all of them, its providers by their weights. A provider whose breaker
is open, or that operators have switched off, gets none but the probes of its breaker. One that has just recovered gets
its share back by degrees.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter

from actors.breaker import ONE
from actors.provider_queue import ProviderQueue


class Router:
    """The providers of a channel. `share` is for upkeep's thread; use the rest on the event loop only."""

    def __init__(self, channel: str, queues: Iterable[ProviderQueue]) -> None:
        self.channel = channel
        self.queues = sorted(queues, key=attrgetter("priority"))
        self._by_name = {queue.name: queue for queue in self.queues}

    def named(self, name: str | None) -> ProviderQueue | None:
        """Return the provider of this name, or None if there is none any more."""
        return self._by_name.get(name or "")

    def choose(
        self, count: int = 1, without: Collection[ProviderQueue] = (), recipient: str | None = None
    ) -> ProviderQueue | None:
        """Return the provider for the next `count` notifications, or None if none works but those of `without`.

        `recipient`: only providers that can reach it. It is not known before a notification is claimed.
        """
        working = [queue for queue in self.reaching(recipient) if queue.breaker.usable and queue not in without]
        if len(working) < 2:
            return working[0] if working else None
        groups = [list(group) for _, group in groupby(working, key=attrgetter("priority"))]
        for group in groups[:-1]:
            # Until it has fully recovered, some notifications still go to the next priority.
            if random.random() < max(queue.breaker.readiness for queue in group):  # noqa: S311 - no secret
                return _weighed(group, count)
        return _weighed(groups[-1], count)

    def reaching(self, recipient: str | None) -> list[ProviderQueue]:
        """Return the providers that can reach a recipient; all if it is None."""
        return [queue for queue in self.queues if recipient is None or queue.reaches(recipient)]

    async def probing(self) -> ProviderQueue | None:
        """Return a provider that one notification is to test now, and take its probe; None if none is due."""
        for queue in self.queues:
            if queue.breaker.open and await queue.breaker.admits() == ONE:
                return queue
        return None

    def share(self, most: int, part: float) -> int:
        """Return how many notifications the relay may enqueue in this round: as many as the best provider may get."""
        return max(most if queue.apart else queue.breaker.share(most, part) for queue in self.queues)

    def names(self, ids: Sequence[int], queue: ProviderQueue | None) -> Mapping[int, str]:
        """Return the provider of each id, for their rows; nothing if there is only one provider."""
        return dict.fromkeys(ids, queue.name) if queue is not None and len(self.queues) > 1 else {}


def _weighed(group: Sequence[ProviderQueue], count: int) -> ProviderQueue:
    """Choose by weight, among those that can send at once if there are any."""
    ready = [queue for queue in group if not queue.blocked(count)] or group
    return random.choices(ready, [queue.weight * queue.breaker.readiness for queue in ready])[0]  # noqa: S311
