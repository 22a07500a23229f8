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
from actors.provider_access import ProviderAccess
from actors.provider_queue import ProviderQueue
from db.records import Claimed


class Router:
    """The providers of a channel. `share` is for upkeep's thread; use the rest on the event loop only."""

    def __init__(self, channel: str, queues: Iterable[ProviderQueue], access: ProviderAccess) -> None:
        self.channel, self._access = channel, access
        self.queues = sorted(queues, key=attrgetter("priority"))
        self._by_name = {queue.name: queue for queue in self.queues}

    def named(self, name: str | None) -> ProviderQueue | None:
        """Return the provider of this name, or None if there is none any more."""
        return self._by_name.get(name or "")

    def choose(
        self, count: int = 1, without: Collection[ProviderQueue] = (), notification: Claimed | None = None
    ) -> ProviderQueue | None:
        """Return the provider for the next `count` notifications, or None if none works but those of `without`.

        `notification`: only providers that may send it. It is not known before it is claimed.
        """
        working = [queue for queue in self.able(notification) if queue.breaker.usable and queue not in without]
        if len(working) < 2:
            return working[0] if working else None
        groups = [list(group) for _, group in groupby(working, key=attrgetter("priority"))]
        for group in groups[:-1]:
            # Until it has fully recovered, some notifications still go to the next priority.
            if random.random() < max(queue.breaker.readiness for queue in group):  # noqa: S311 - no secret
                return _weighed(group, count)
        return _weighed(groups[-1], count)

    def able(self, notification: Claimed | None) -> list[ProviderQueue]:
        """Return the providers that may send a notification; all if it is None."""
        return [queue for queue in self.queues if notification is None or self.may_use(queue, notification)]

    def may_use(self, queue: ProviderQueue, notification: Claimed) -> bool:
        """Return whether a provider can reach the recipient of a notification, and the client may use it."""
        if self._access.lists and not self.allows(queue, notification.client_id):
            return False
        return queue.reaches(notification.recipient)

    def allows(self, queue: ProviderQueue, client_id: int) -> bool:
        """Return whether a client may use a provider."""
        return self._access.allows(client_id, self.channel, queue.name)

    @property
    def restricts(self) -> bool:
        """Return whether any client may not use all providers."""
        return bool(self._access.lists)

    def missing(self, notification: Claimed) -> str:
        """Return what a notification waits for that no provider may send."""
        allowed = self._access.of(notification.client_id, self.channel)
        if allowed is None or any(self.allows(queue, notification.client_id) for queue in self.queues):
            return f"a provider that reaches {notification.recipient.partition(':')[0]}: recipients"
        return f"{' or '.join(sorted(allowed))}: its client may use no other provider"

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
