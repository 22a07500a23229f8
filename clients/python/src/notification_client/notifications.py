"""The calls that concern notifications, for both clients."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from notification_client.calls import Call, Pages, call, items_of, pages, path
from notification_client.decoding import camel
from notification_client.errors import Fault, InvalidRequest, StillPending, UnexpectedAnswer, api_error
from notification_client.fields import document, query
from notification_client.models import Attempt, Event, Limits, Notification

LONGEST_WAIT = 20  # seconds for one long poll


class Unchanged:
    """Marks an argument that was not given, where None has a meaning."""


UNCHANGED = Unchanged()
Time = datetime | str | None


@dataclass(frozen=True)
class Result:
    """Result of one notification of a batch: stored, or refused with `errors`."""

    status: int
    notification: Notification | None
    replayed: bool
    errors: list[Fault]


@dataclass(frozen=True)
class RetryStep:
    """How many were retried, and where the next step begins; None at the end."""

    retried: int
    cursor: str | None


def send(fields: Mapping[str, Any]) -> Call[Notification]:
    """Return the call that sends a notification, with a key of its own if none is given."""
    given = dict(fields)
    key = given.pop("idempotency_key", None) or str(uuid.uuid4())
    return call("POST", path("notifications"), Notification.read, document(given), key=key, repeatable=True)


def send_all(notifications: Iterable[Mapping[str, Any]], key: str | None) -> Call[list[Notification]]:
    """Return the call that sends all of these or none."""
    body = {"items": [document(fields) for fields in notifications]}
    key = key or str(uuid.uuid4())
    return call("POST", path("notifications", "batch"), items_of(Notification.read), body, key=key, repeatable=True)


def send_each(notifications: Iterable[Mapping[str, Any]], key: str | None) -> Call[list[Result]]:
    """Return the call that sends those of these that have no faults."""
    body = {"items": [document(fields) for fields in notifications]}
    more: dict[str, Any] = {"key": key or str(uuid.uuid4()), "repeatable": True, "query": [("partial", "true")]}
    return call("POST", path("notifications", "batch"), items_of(_result), body, **more)


def get(id: int) -> Call[Notification]:
    """Return the call that shows a notification."""
    return call("GET", path("notifications", id), Notification.read)


def find(filters: Mapping[str, Any]) -> Pages[Notification]:
    """Return how to get the pages of the list."""
    return pages(path("notifications"), Notification.read, query(filters))


def attempts(id: int) -> Call[list[Attempt]]:
    """Return the call that lists the attempts of a notification."""
    return call("GET", path("notifications", id, "attempts"), items_of(Attempt.read))


def timeline(id: int) -> Pages[Event]:
    """Return how to get the pages of the events of a notification."""
    return pages(path("notifications", id, "events"), Event.read)


def attachment(id: int, number: int) -> Call[bytes]:
    """Return the call that downloads an attachment."""
    place = path("notifications", id, "attachments", number)
    return Call("GET", place, lambda answer: answer.body, repeatable=True, headers={"Accept": "*/*"})


def cancel(id: int) -> Call[Notification]:
    """Return the call that cancels a notification. A repetition would be refused, so there is none."""
    return call("POST", path("notifications", id, "cancel"), Notification.read)


def retry(id: int) -> Call[Notification]:
    """Return the call that retries a notification. A repetition might retry it twice, so there is none."""
    return call("POST", path("notifications", id, "retry"), Notification.read)


def reschedule(id: int, send_at: Time | Unchanged, expires_at: Time | Unchanged) -> Call[Notification]:
    """Return the call that changes the times that are given; None removes one."""
    given = {"send_at": send_at, "expires_at": expires_at}
    changes = {name: value for name, value in given.items() if not isinstance(value, Unchanged)}
    removed = {camel(name): None for name, value in changes.items() if value is None}
    # Set twice to the same times, it ends with these times.
    return call("PATCH", path("notifications", id), Notification.read, document(changes) | removed, repeatable=True)


def retry_failed(filters: Mapping[str, Any], limit: int | None, cursor: str | None) -> Call[RetryStep]:
    """Return the call that retries failed notifications, or the next step of it."""
    body = {"filter": document(filters)} | document({"limit": limit, "cursor": cursor})
    return call("POST", path("notifications", "retry"), _step, body)


def count_failed(filters: Mapping[str, Any]) -> Call[int]:
    """Return the call that counts what `retry_failed` would retry."""
    body = {"filter": document(filters), "dryRun": True}
    return call("POST", path("notifications", "retry"), lambda found: int(found["matched"]), body, repeatable=True)


def limits() -> Call[Limits]:
    """Return the call that shows the limits of the client."""
    return call("GET", path("limits"), Limits.read)


class Waiting:
    """Long polls for one notification until it is final, or `timeout` seconds have passed."""

    def __init__(self, id: int, timeout: float) -> None:
        self._id, self._until, self._longest = id, time.monotonic() + timeout, LONGEST_WAIT

    @property
    def call(self) -> Call[Notification]:
        """The next long poll."""
        seconds = max(1, min(self._longest, round(self._until - time.monotonic())))
        wait = [("wait", str(seconds))]
        return call("GET", path("notifications", self._id), Notification.read, query=wait, waits=float(seconds))

    def ends(self, notification: Notification) -> bool:
        """Return whether it is final; raise StillPending if the time is over."""
        if not notification.final and time.monotonic() >= self._until:
            raise StillPending(notification)
        return notification.final

    def shorten(self, error: InvalidRequest) -> None:
        """Poll for a shorter time if the server's LONG_POLL_MAX asks for it; raise other errors."""
        if self._longest == 1 or not any(fault.place == "wait" for fault in error.errors):
            raise error
        self._longest //= 2


def _result(item: Any) -> Result:
    if not isinstance(item, dict) or not isinstance(item.get("status"), int):
        raise UnexpectedAnswer("the API answered a result without a status")
    stored = item.get("notification")
    notification = None if stored is None else Notification.read(stored)
    return Result(item["status"], notification, bool(item.get("replayed")), api_error(item["status"], item, {}).errors)


def _step(step: Any) -> RetryStep:
    return RetryStep(int(step["retried"]), step.get("nextCursor"))
