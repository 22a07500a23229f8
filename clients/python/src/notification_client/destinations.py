"""Destinations: named places for chat messages and webhooks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypedDict, Unpack

from notification_client.calls import Call, Pages, call, nothing, pages, path
from notification_client.decoding import Model
from notification_client.fields import document, query
from notification_client.performing import AsyncPerformer, Performer


@dataclass(frozen=True, kw_only=True)
class Destination(Model):
    """A destination. `secret` of a webhook is shown once, when it is made; it signs the requests."""

    name: str
    kind: str
    created_at: datetime
    host: str | None = None
    hint: str | None = None
    chat_id: str | None = None
    description: str = ""
    old_secret_until: datetime | None = None
    secret: str | None = field(default=None, repr=False)


class DestinationFields(TypedDict, total=False):
    """The fields of a destination that can be set. `token` and `chat_id` are of Telegram."""

    url: str
    token: str
    chat_id: str
    description: str


class Destinations:
    """The client's destinations."""

    def __init__(self, client: Performer) -> None:
        self._client = client

    def create(self, name: str, kind: str, **fields: Unpack[DestinationFields]) -> Destination:
        """Create a destination; raise Conflict if the name is taken. A webhook has its secret."""
        return self._client.perform(_create(name, kind, fields))

    def all(self) -> Iterator[Destination]:
        """Yield the destinations by name."""
        return self._client.pages(_all())

    def get(self, name: str) -> Destination:
        """Return a destination."""
        return self._client.perform(_get(name))

    def change(self, name: str, **changes: Unpack[DestinationFields]) -> Destination:
        """Change a destination; what waits for it goes to the new place."""
        return self._client.perform(_change(name, changes))

    def rotate_secret(self, name: str) -> Destination:
        """Make a new secret for a webhook; the old one signs too until `old_secret_until`."""
        return self._client.perform(_rotate_secret(name))

    def delete(self, name: str) -> None:
        """Delete a destination; what waits for it fails."""
        return self._client.perform(_delete(name))


class AsyncDestinations:
    """The client's destinations."""

    def __init__(self, client: AsyncPerformer) -> None:
        self._client = client

    async def create(self, name: str, kind: str, **fields: Unpack[DestinationFields]) -> Destination:
        """Create a destination; raise Conflict if the name is taken. A webhook has its secret."""
        return await self._client.perform(_create(name, kind, fields))

    def all(self) -> AsyncIterator[Destination]:
        """Yield the destinations by name."""
        return self._client.pages(_all())

    async def get(self, name: str) -> Destination:
        """Return a destination."""
        return await self._client.perform(_get(name))

    async def change(self, name: str, **changes: Unpack[DestinationFields]) -> Destination:
        """Change a destination; what waits for it goes to the new place."""
        return await self._client.perform(_change(name, changes))

    async def rotate_secret(self, name: str) -> Destination:
        """Make a new secret for a webhook; the old one signs too until `old_secret_until`."""
        return await self._client.perform(_rotate_secret(name))

    async def delete(self, name: str) -> None:
        """Delete a destination; what waits for it fails."""
        return await self._client.perform(_delete(name))


def _create(name: str, kind: str, fields: Mapping[str, Any]) -> Call[Destination]:
    return call("POST", path("destinations"), Destination.read, document({"name": name, "kind": kind, **fields}))


def _all() -> Pages[Destination]:
    return pages(path("destinations"), Destination.read, query({}))


def _get(name: str) -> Call[Destination]:
    return call("GET", path("destinations", name), Destination.read)


def _change(name: str, changes: Mapping[str, Any]) -> Call[Destination]:
    return call("PATCH", path("destinations", name), Destination.read, document(changes), repeatable=True)


def _rotate_secret(name: str) -> Call[Destination]:
    return call("POST", path("destinations", name, "rotate-secret"), Destination.read)


def _delete(name: str) -> Call[None]:
    return call("DELETE", path("destinations", name), nothing)
