"""The contract between the queue of a provider and limits that concern some of its notifications only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from db.records import Claimed


class Booking(NamedTuple):
    """When notifications are due again: the first in `delay` seconds, each other `spread` seconds after the one before.

    `text`: why they wait.
    """

    delay: float
    text: str
    spread: float


class Shaping(Protocol):
    """Limits on groups of notifications of one provider, such as those to one domain. Used on the event loop."""

    @property
    def active(self) -> bool:
        """True if any group is limited now."""

    def ready(self, notification: Claimed) -> bool:
        """Return whether a notification may begin now. If so, it counts as under way until `ended`."""

    def ended(self, notification: Claimed) -> None:
        """Record that a notification is not under way any more, or was not begun after all."""

    def concerns(self, notification: Claimed) -> bool:
        """Return whether a notification is in a limited group."""

    def late(self, notifications: Iterable[Claimed]) -> Mapping[int, str]:
        """Return the group of those that would have to wait too long, by id. They wait in this order."""

    async def book(self, group: str, rank: int, count: int) -> Booking:
        """Return when `count` notifications of a group and priority may come again."""
