"""The providers that clients may use, as this process knows them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from db import provider_access


class ProviderAccess:
    """The lists of all clients that have one. Upkeep's thread calls `refresh`; any thread may ask."""

    def __init__(self) -> None:
        self.lists: Mapping[int, Mapping[str, Collection[str]]] = {}  # by client and channel

    def refresh(self) -> None:
        """Read the lists from the database. Call within `connection()`."""
        self.lists = {
            one.id: {channel: frozenset(names) for channel, names in one.providers.items()}
            for one in provider_access.listed()
        }

    def of(self, client_id: int, channel: str) -> Collection[str] | None:
        """Return the names of the providers that a client may use for a channel, or None if it may use all."""
        lists = self.lists.get(client_id)
        return None if lists is None else lists.get(channel)

    def allows(self, client_id: int, channel: str, provider: str) -> bool:
        """Return whether a client may use a provider."""
        allowed = self.of(client_id, channel)
        return allowed is None or provider in allowed
