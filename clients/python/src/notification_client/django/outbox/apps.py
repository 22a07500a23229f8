"""The app."""

from django.apps import AppConfig


class OutboxConfig(AppConfig):
    """Has the table `notification_outbox_outgoingnotification`."""

    name = "notification_client.django.outbox"
    label = "notification_outbox"
    verbose_name = "Notification outbox"
