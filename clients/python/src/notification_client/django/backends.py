"""E-mail backends: every mail of the application becomes one notification."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

from notification_client.client import Client
from notification_client.django.clients import client
from notification_client.django.mapping import fields_of
from notification_client.django.outbox import enqueue
from notification_client.errors import NotificationError
from notification_client.fields import NewNotification

log = logging.getLogger("notification_client.django")
# Arguments with which Django itself makes a backend.
OF_DJANGO = {"alias", "_ignore_unknown_kwargs"}


class EmailBackend(BaseEmailBackend):
    """Sends mails at once. Options are those of the setting NOTIFICATIONS, which holds for those that are not given.

    A message may have an attribute `notification_fields` with more fields, such as `tags`. It gets an attribute
    `notification`: what the API answered.
    """

    def __init__(
        self,
        fail_silently: bool = False,
        *,
        url: str | None = None,
        key: str | None = None,
        timeout: float | None = None,
        retry_for: float | None = None,
        **others: Any,
    ) -> None:
        # send_mail() names options of SMTP, with None for those that it was not given.
        others = {name: value for name, value in others.items() if value is not None}
        unknown = sorted(others.keys() - OF_DJANGO)
        if unknown and "alias" not in others:  # With an alias, Django refuses them itself.
            raise ImproperlyConfigured(f"{type(self).__name__} does not know the options {unknown}")
        super().__init__(**others)
        self.fail_silently = fail_silently
        self._options = {"url": url, "key": key, "timeout": timeout, "retry_for": retry_for}

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Send these and return how many were accepted; raise the first error unless `fail_silently`."""
        return sum(self._sent(message) for message in email_messages)

    def deliver(self, fields: NewNotification) -> Any:
        """Hand over one notification; return what becomes the message's `notification`."""
        return self.client.send(**fields)

    @property
    def client(self) -> Client:
        """The client with these options, which the whole process shares."""
        return client(**self._options)

    def _sent(self, message: EmailMessage) -> bool:
        if not message.recipients():
            return False
        try:
            message.notification = self.deliver(fields_of(message))  # type: ignore[attr-defined]
        except NotificationError as error:
            if not self.fail_silently:
                raise
            log.warning("a mail was not sent: %s", type(error).__name__)
            return False
        return True


class OutboxEmailBackend(EmailBackend):
    """Writes mails into the outbox, in the transaction of the application; `send_notifications` sends them."""

    def deliver(self, fields: NewNotification) -> Any:
        """Write one notification into the outbox; return its row."""
        return enqueue(**fields)
