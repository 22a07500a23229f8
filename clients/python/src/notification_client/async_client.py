"""The client for asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Unpack

from notification_client import notifications as calls
from notification_client import sse
from notification_client.calls import anything, call
from notification_client.destinations import AsyncDestinations
from notification_client.domains import AsyncDomains
from notification_client.endpoints import AsyncCallbackEndpoints
from notification_client.errors import InvalidRequest
from notification_client.fields import FailedFilters, Filters, NewNotification
from notification_client.following import follow_async
from notification_client.models import Attempt, Change, Event, Limits, Notification
from notification_client.notifications import UNCHANGED, Result, RetryStep, Time, Unchanged, Waiting
from notification_client.performing import AsyncPerformer
from notification_client.stored_data import AsyncStoredData
from notification_client.suppressions import AsyncSuppressions
from notification_client.templates import AsyncTemplates


class AsyncClient(AsyncPerformer):
    """Client of the notification system: `AsyncClient("https://notify.example.com", key)`.

    `timeout` is in seconds and for one answer, `retry_for` is for a call with its repetitions. `ssl_context` trusts
    another authority than the system's. It belongs to one event loop.
    """

    @cached_property
    def templates(self) -> AsyncTemplates:
        """Texts with variables, stored at the server."""
        return AsyncTemplates(self)

    @cached_property
    def suppressions(self) -> AsyncSuppressions:
        """Addresses to which nothing is sent."""
        return AsyncSuppressions(self)

    @cached_property
    def domains(self) -> AsyncDomains:
        """Domains that your mails come from: DKIM keys and DNS records."""
        return AsyncDomains(self)

    @cached_property
    def callbacks(self) -> AsyncCallbackEndpoints:
        """Endpoints of yours that are told how notifications ended."""
        return AsyncCallbackEndpoints(self)

    @cached_property
    def destinations(self) -> AsyncDestinations:
        """Named places for chat messages and webhooks."""
        return AsyncDestinations(self)

    @cached_property
    def data(self) -> AsyncStoredData:
        """Export, erasure and pauses."""
        return AsyncStoredData(self)

    async def send(self, **fields: Unpack[NewNotification]) -> Notification:
        """Send one notification. It is stored when this returns.

        A request without an answer is repeated with the same Idempotency-Key, so that it is stored once.
        """
        return await self.perform(calls.send(fields))

    async def send_all(
        self, notifications: Iterable[NewNotification], *, idempotency_key: str | None = None
    ) -> list[Notification]:
        """Send all of these in one transaction; if one has a fault, raise InvalidRequest and send none."""
        return await self.perform(calls.send_all(notifications, idempotency_key))

    async def send_each(
        self, notifications: Iterable[NewNotification], *, idempotency_key: str | None = None
    ) -> list[Result]:
        """Send those of these that have no faults; return the result of each, in this order."""
        return await self.perform(calls.send_each(notifications, idempotency_key))

    async def get(self, id: int) -> Notification:
        """Return a notification."""
        return await self.perform(calls.get(id))

    def find(self, **filters: Unpack[Filters]) -> AsyncIterator[Notification]:
        """Yield all notifications that match, newest first, without their long fields."""
        return self.pages(calls.find(filters))

    async def wait(self, id: int, timeout: float = 60.0) -> Notification:
        """Return a notification once it is final; raise StillPending after `timeout` seconds."""
        waiting = Waiting(id, timeout)
        while True:
            try:
                notification = await self.perform(waiting.call)
            except InvalidRequest as error:
                waiting.shorten(error)
            else:
                if waiting.ends(notification):
                    return notification

    async def attempts(self, id: int) -> list[Attempt]:
        """Return the attempts of a notification, first to last."""
        return await self.perform(calls.attempts(id))

    def timeline(self, id: int) -> AsyncIterator[Event]:
        """Yield the events of a notification, first to last."""
        return self.pages(calls.timeline(id))

    async def attachment(self, id: int, number: int) -> bytes:
        """Return the content of an attachment; the first one has the number 1."""
        return await self.perform(calls.attachment(id, number))

    async def cancel(self, id: int) -> Notification:
        """Cancel a pending notification; raise Conflict if it is not pending."""
        return await self.perform(calls.cancel(id))

    async def retry(self, id: int) -> Notification:
        """Retry a failed notification; raise Conflict if it has not failed."""
        return await self.perform(calls.retry(id))

    async def reschedule(
        self, id: int, *, send_at: Time | Unchanged = UNCHANGED, expires_at: Time | Unchanged = UNCHANGED
    ) -> Notification:
        """Change when a pending notification is sent and when it expires; None removes a time."""
        return await self.perform(calls.reschedule(id, send_at, expires_at))

    async def retry_failed(
        self, *, limit: int | None = None, cursor: str | None = None, **filters: Unpack[FailedFilters]
    ) -> RetryStep:
        """Retry failed notifications that match, oldest first, up to `limit`."""
        return await self.perform(calls.retry_failed(filters, limit, cursor))

    async def count_failed(self, **filters: Unpack[FailedFilters]) -> int:
        """Return how many notifications `retry_failed` would retry, counted up to the server's limit."""
        return await self.perform(calls.count_failed(filters))

    async def limits(self) -> Limits:
        """Return the limits of this client, and what is used of them."""
        return await self.perform(calls.limits())

    def stream(
        self,
        *,
        status: str | None = None,
        tag: str | Sequence[str] | None = None,
        sandbox: bool | None = None,
        resume_from: str | None = None,
    ) -> AsyncIterator[Change]:
        """Yield every change of all notifications, for ever; it reconnects by itself and misses nothing.

        The first is `ready`: everything after it is reported. After `lost`, list the notifications that you wait for.
        Pass the `resume_from` of a change to continue after it.
        """
        return follow_async(self, sse.all_changes(status, tag, sandbox), resume_from)

    def watch(self, id: int, *, resume_from: str | None = None) -> AsyncIterator[Change]:
        """Yield the events of one notification as they happen, until it is final."""
        return follow_async(self, sse.events_of(id), resume_from)

    async def request(
        self, method: str, path: str, document: Any = None, query: Mapping[str, str] | None = None
    ) -> Any:
        """Return the JSON of any other operation, such as `request("GET", "/api/audit")`."""
        return await self.perform(call(method, path, anything, document, query=list((query or {}).items())))
