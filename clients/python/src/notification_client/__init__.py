"""Python client of the notification system. Begin with Client or AsyncClient; `verify_callback` checks callbacks."""

from notification_client.async_client import AsyncClient
from notification_client.callbacks import CallbackEvent, verify_callback
from notification_client.client import Client
from notification_client.destinations import Destination
from notification_client.domains import Domain
from notification_client.endpoints import CallbackEndpoint, Delivery
from notification_client.errors import (
    ApiError,
    Conflict,
    ConnectionFailed,
    Fault,
    InvalidRequest,
    InvalidSignature,
    NotAuthenticated,
    NotFound,
    NotificationError,
    NotPermitted,
    StillPending,
    TooManyRequests,
    Unavailable,
    UnexpectedAnswer,
)
from notification_client.fields import Attachment, NewNotification
from notification_client.models import Attempt, Change, Event, Limits, Notification
from notification_client.notifications import Result
from notification_client.stored_data import Erasure, Pause
from notification_client.suppressions import Suppression
from notification_client.templates import Preview, Template

__all__ = [
    "ApiError",
    "AsyncClient",
    "Attachment",
    "Attempt",
    "CallbackEndpoint",
    "CallbackEvent",
    "Change",
    "Client",
    "Conflict",
    "ConnectionFailed",
    "Delivery",
    "Destination",
    "Domain",
    "Erasure",
    "Event",
    "Fault",
    "InvalidRequest",
    "InvalidSignature",
    "Limits",
    "NewNotification",
    "NotAuthenticated",
    "NotFound",
    "NotPermitted",
    "Notification",
    "NotificationError",
    "Pause",
    "Preview",
    "Result",
    "StillPending",
    "Suppression",
    "Template",
    "TooManyRequests",
    "Unavailable",
    "UnexpectedAnswer",
    "verify_callback",
]
