"""Every exception of this package. All of them are a NotificationError."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from notification_client.models import Notification


class NotificationError(Exception):
    """Base of all errors of this package."""


@dataclass(frozen=True)
class Fault:
    """One fault of a request: `place` is a JSON pointer, or the name of a parameter or header."""

    place: str
    detail: str


class ConnectionFailed(NotificationError):
    """There was no answer.

    `may_have_arrived` is False if the request was certainly not sent. If it is True, repeat the call with the same
    `idempotency_key`: it then has an effect only once.
    """

    def __init__(self, detail: str, *, may_have_arrived: bool, permanent: bool = False) -> None:
        super().__init__(detail)
        self.may_have_arrived, self.permanent = may_have_arrived, permanent
        self.idempotency_key: str | None = None


class UnexpectedAnswer(NotificationError):
    """The answer is not one of this API: check the base URL, and what is between the client and the API."""


class StillPending(NotificationError):
    """The notification was not final in time. `notification` is its last known state."""

    def __init__(self, notification: Notification) -> None:
        super().__init__(f"notification {notification.id} is still {notification.status}")
        self.notification = notification


class InvalidSignature(NotificationError):
    """A callback is not genuine, or too old: answer it with 400 and ignore it."""


class ApiError(NotificationError):
    """The API refused the request; `problem` is its problem document (RFC 9457)."""

    statuses: ClassVar[tuple[int, ...]] = ()

    def __init__(self, status: int, problem: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        self.status, self.problem = status, problem
        self.type = str(problem.get("type", "about:blank"))
        self.detail = str(problem.get("detail", ""))
        self.errors = [_fault(fault) for fault in problem.get("errors") or () if isinstance(fault, dict)]
        self.request_id = headers.get("x-request-id")
        self.retry_after = _seconds(headers.get("retry-after"))
        self.idempotency_key: str | None = None
        faults = "; ".join(f"{fault.place} {fault.detail}" for fault in self.errors)
        super().__init__(": ".join(filter(None, (f"{status} {self.detail}".rstrip(), faults))))


class InvalidRequest(ApiError):
    """The request has faults, which `errors` lists. Repeating it does not help."""

    statuses = (400, 413, 415, 422)


class NotAuthenticated(ApiError):
    """The key is missing, unknown, revoked or expired."""

    statuses = (401,)


class NotPermitted(ApiError):
    """The key does not have the scope that the request needs."""

    statuses = (403,)


class NotFound(ApiError):
    """There is no such thing, or it belongs to another client."""

    statuses = (404, 410)


class Conflict(ApiError):
    """The state does not permit the request, such as cancelling what was sent."""

    statuses = (409,)


class TooManyRequests(ApiError):
    """A limit of this client is reached; `retry_after` seconds later it may be free again."""

    statuses = (429,)


class Unavailable(ApiError):
    """The API cannot answer now."""

    statuses = (500, 502, 503, 504)


def api_error(status: int, problem: Mapping[str, Any], headers: Mapping[str, str]) -> ApiError:
    """Return the exception for an answer with this status; `headers` have lower-case names."""
    kind = next((kind for kind in ApiError.__subclasses__() if status in kind.statuses), ApiError)
    return kind(status, problem, headers)


def _fault(fault: Mapping[str, Any]) -> Fault:
    place = next((str(fault[name]) for name in ("pointer", "parameter", "header") if name in fault), "")
    return Fault(place, str(fault.get("detail", "")))


def _seconds(retry_after: str | None) -> float | None:
    """Return the seconds of a Retry-After; None without it, and for a date, which this API does not send."""
    return float(retry_after) if retry_after and retry_after.isascii() and retry_after.isdecimal() else None
