"""Django: e-mail backends that send through the notification system; `outbox` is an app of its own."""

from notification_client.django.attachments import NotCarried
from notification_client.django.backends import EmailBackend, OutboxEmailBackend

__all__ = ["EmailBackend", "NotCarried", "OutboxEmailBackend"]
