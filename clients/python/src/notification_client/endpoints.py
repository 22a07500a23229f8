"""Callback endpoints: registration, secrets, deliveries and their retry."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypedDict, Unpack

from notification_client.calls import Call, Pages, call, items_of, nothing, pages, path
from notification_client.decoding import Model
from notification_client.fields import document, query
from notification_client.models import Attempt
from notification_client.performing import AsyncPerformer, Performer


@dataclass(frozen=True, kw_only=True)
class CallbackEndpoint(Model):
    """An endpoint. `secret` is shown once, when it is made; keep it for `verify_callback`."""

    id: int
    url: str
    events: list[str]
    created_at: datetime
    description: str = ""
    disabled: bool = False
    disabled_at: datetime | None = None
    disabled_reason: str | None = None
    old_secret_until: datetime | None = None
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Delivery(Model):
    """One callback to an endpoint. A list leaves out its body and attempts."""

    id: int
    event: str
    notification_id: int
    status: str
    created_at: datetime
    attempt_count: int = 0
    retry_count: int = 0
    last_error: str | None = None
    failure_reason: str | None = None
    next_attempt_at: datetime | None = None
    finished_at: datetime | None = None
    body: str | None = None
    attempts: list[Attempt] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class CallbackHealth(Model):
    """How an endpoint takes its callbacks."""

    waiting: int
    failed: int
    last_success_at: datetime | None = None
    last_failure_at: datetime | None = None
    failing_since: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class CallbacksRetried(Model):
    """A step of a retry of all failed callbacks; while there are `more`, repeat it."""

    retried: int
    more: bool


class EndpointChanges(TypedDict, total=False):
    """The fields of an endpoint that can be changed."""

    url: str
    events: Sequence[str]
    description: str
    disabled: bool


class CallbackEndpoints:
    """The client's callback endpoints."""

    def __init__(self, client: Performer) -> None:
        self._client = client

    def create(
        self, url: str, *, events: Sequence[str] | None = None, description: str | None = None
    ) -> CallbackEndpoint:
        """Register an endpoint for these final statuses, by default for all; it has the secret."""
        return self._client.perform(_create(url, events, description))

    def all(self) -> list[CallbackEndpoint]:
        """Return all endpoints."""
        return self._client.perform(_all())

    def get(self, id: int) -> CallbackEndpoint:
        """Return an endpoint."""
        return self._client.perform(_get(id))

    def change(self, id: int, **changes: Unpack[EndpointChanges]) -> CallbackEndpoint:
        """Change an endpoint, disable or enable it."""
        return self._client.perform(_change(id, changes))

    def rotate_secret(self, id: int) -> CallbackEndpoint:
        """Make a new secret; the old one signs too until `old_secret_until`."""
        return self._client.perform(_rotate_secret(id))

    def delete(self, id: int) -> None:
        """Delete an endpoint."""
        return self._client.perform(_delete(id))

    def deliveries(self, id: int, *, status: str | None = None) -> Iterator[Delivery]:
        """Yield the callbacks to an endpoint, newest first."""
        return self._client.pages(_deliveries(id, status))

    def delivery(self, id: int, delivery: int) -> Delivery:
        """Return a callback with its body and attempts."""
        return self._client.perform(_delivery(id, delivery))

    def retry(self, id: int, delivery: int) -> Delivery:
        """Deliver a failed callback again; raise Conflict if it has not failed."""
        return self._client.perform(_retry(id, delivery))

    def retry_failed(self, id: int) -> CallbacksRetried:
        """Deliver the failed callbacks to an endpoint again, oldest first."""
        return self._client.perform(_retry_failed(id))

    def health(self, id: int) -> CallbackHealth:
        """Return how an endpoint takes its callbacks."""
        return self._client.perform(_health(id))

    def test(self, id: int) -> Delivery:
        """Send a test callback to an endpoint; its type is `callback.test`."""
        return self._client.perform(_test(id))


class AsyncCallbackEndpoints:
    """The client's callback endpoints."""

    def __init__(self, client: AsyncPerformer) -> None:
        self._client = client

    async def create(
        self, url: str, *, events: Sequence[str] | None = None, description: str | None = None
    ) -> CallbackEndpoint:
        """Register an endpoint for these final statuses, by default for all; it has the secret."""
        return await self._client.perform(_create(url, events, description))

    async def all(self) -> list[CallbackEndpoint]:
        """Return all endpoints."""
        return await self._client.perform(_all())

    async def get(self, id: int) -> CallbackEndpoint:
        """Return an endpoint."""
        return await self._client.perform(_get(id))

    async def change(self, id: int, **changes: Unpack[EndpointChanges]) -> CallbackEndpoint:
        """Change an endpoint, disable or enable it."""
        return await self._client.perform(_change(id, changes))

    async def rotate_secret(self, id: int) -> CallbackEndpoint:
        """Make a new secret; the old one signs too until `old_secret_until`."""
        return await self._client.perform(_rotate_secret(id))

    async def delete(self, id: int) -> None:
        """Delete an endpoint."""
        return await self._client.perform(_delete(id))

    def deliveries(self, id: int, *, status: str | None = None) -> AsyncIterator[Delivery]:
        """Yield the callbacks to an endpoint, newest first."""
        return self._client.pages(_deliveries(id, status))

    async def delivery(self, id: int, delivery: int) -> Delivery:
        """Return a callback with its body and attempts."""
        return await self._client.perform(_delivery(id, delivery))

    async def retry(self, id: int, delivery: int) -> Delivery:
        """Deliver a failed callback again; raise Conflict if it has not failed."""
        return await self._client.perform(_retry(id, delivery))

    async def retry_failed(self, id: int) -> CallbacksRetried:
        """Deliver the failed callbacks to an endpoint again, oldest first."""
        return await self._client.perform(_retry_failed(id))

    async def health(self, id: int) -> CallbackHealth:
        """Return how an endpoint takes its callbacks."""
        return await self._client.perform(_health(id))

    async def test(self, id: int) -> Delivery:
        """Send a test callback to an endpoint; its type is `callback.test`."""
        return await self._client.perform(_test(id))


def _create(url: str, events: Sequence[str] | None, description: str | None) -> Call[CallbackEndpoint]:
    fields = document({"url": url, "events": events, "description": description})
    return call("POST", path("callbacks"), CallbackEndpoint.read, fields)


def _all() -> Call[list[CallbackEndpoint]]:
    return call("GET", path("callbacks"), items_of(CallbackEndpoint.read))


def _get(id: int) -> Call[CallbackEndpoint]:
    return call("GET", path("callbacks", id), CallbackEndpoint.read)


def _change(id: int, changes: Mapping[str, Any]) -> Call[CallbackEndpoint]:
    return call("PATCH", path("callbacks", id), CallbackEndpoint.read, document(changes), repeatable=True)


def _rotate_secret(id: int) -> Call[CallbackEndpoint]:
    return call("POST", path("callbacks", id, "rotate-secret"), CallbackEndpoint.read)


def _delete(id: int) -> Call[None]:
    return call("DELETE", path("callbacks", id), nothing)


def _deliveries(id: int, status: str | None) -> Pages[Delivery]:
    return pages(path("callbacks", id, "deliveries"), Delivery.read, query({"status": status}))


def _delivery(id: int, delivery: int) -> Call[Delivery]:
    return call("GET", path("callbacks", id, "deliveries", delivery), Delivery.read)


def _retry(id: int, delivery: int) -> Call[Delivery]:
    return call("POST", path("callbacks", id, "deliveries", delivery, "retry"), Delivery.read)


def _retry_failed(id: int) -> Call[CallbacksRetried]:
    return call("POST", path("callbacks", id, "retry"), CallbacksRetried.read)


def _health(id: int) -> Call[CallbackHealth]:
    return call("GET", path("callbacks", id, "health"), CallbackHealth.read)


def _test(id: int) -> Call[Delivery]:
    return call("POST", path("callbacks", id, "test"), Delivery.read)
