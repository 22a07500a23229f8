"""The suppression list: addresses to which nothing is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime

from notification_client.calls import Call, Pages, call, nothing, pages, path
from notification_client.decoding import Model
from notification_client.fields import document, query
from notification_client.performing import AsyncPerformer, Performer


@dataclass(frozen=True, kw_only=True)
class Suppression(Model):
    """An entry of the list."""

    address: str
    reason: str
    created_at: datetime
    source: str | None = None
    expires_at: datetime | None = None


class Suppressions:
    """The client's suppression list."""

    def __init__(self, client: Performer) -> None:
        self._client = client

    def add(
        self, address: str, *, reason: str | None = None, source: str | None = None, expires_at: datetime | None = None
    ) -> Suppression:
        """Add an address, or replace its entry."""
        return self._client.perform(_add(address, reason, source, expires_at))

    def get(self, address: str) -> Suppression:
        """Return the entry of an address; raise NotFound if it is not on the list."""
        return self._client.perform(_get(address))

    def all(
        self,
        *,
        reason: str | None = None,
        created_from: datetime | None = None,
        created_to: datetime | None = None,
    ) -> Iterator[Suppression]:
        """Yield the entries that match, newest first."""
        return self._client.pages(_all(reason, created_from, created_to))

    def remove(self, address: str) -> None:
        """Remove an address; raise NotFound if it is not on the list."""
        return self._client.perform(_remove(address))


class AsyncSuppressions:
    """The client's suppression list."""

    def __init__(self, client: AsyncPerformer) -> None:
        self._client = client

    async def add(
        self, address: str, *, reason: str | None = None, source: str | None = None, expires_at: datetime | None = None
    ) -> Suppression:
        """Add an address, or replace its entry."""
        return await self._client.perform(_add(address, reason, source, expires_at))

    async def get(self, address: str) -> Suppression:
        """Return the entry of an address; raise NotFound if it is not on the list."""
        return await self._client.perform(_get(address))

    def all(
        self,
        *,
        reason: str | None = None,
        created_from: datetime | None = None,
        created_to: datetime | None = None,
    ) -> AsyncIterator[Suppression]:
        """Yield the entries that match, newest first."""
        return self._client.pages(_all(reason, created_from, created_to))

    async def remove(self, address: str) -> None:
        """Remove an address; raise NotFound if it is not on the list."""
        return await self._client.perform(_remove(address))


def _add(address: str, reason: str | None, source: str | None, expires_at: datetime | None) -> Call[Suppression]:
    fields = {"address": address, "reason": reason, "source": source, "expires_at": expires_at}
    # Added twice, the entry is replaced by the same one.
    return call("POST", path("suppressions"), Suppression.read, document(fields), repeatable=True)


def _get(address: str) -> Call[Suppression]:
    return call("GET", path("suppressions", address), Suppression.read)


def _all(reason: str | None, created_from: datetime | None, created_to: datetime | None) -> Pages[Suppression]:
    filters = {"reason": reason, "created_from": created_from, "created_to": created_to}
    return pages(path("suppressions"), Suppression.read, query(filters))


def _remove(address: str) -> Call[None]:
    return call("DELETE", path("suppressions", address), nothing)
