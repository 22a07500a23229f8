"""Outbox: notifications are written in the application's own transaction, and sent after its commit.

Add `notification_client.django.outbox` to INSTALLED_APPS, and run `manage.py send_notifications --loop`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from notification_client.fields import NewNotification

if TYPE_CHECKING:
    from notification_client.django.outbox.models import OutgoingNotification

__all__ = ["enqueue", "send_after_commit"]


def enqueue(**fields: Unpack[NewNotification]) -> OutgoingNotification:
    """Write a notification into the outbox. It is sent if the transaction is committed, and only then.

    An `idempotency_key` that waits in the outbox already is not written again.
    """
    from notification_client.django.outbox import sending  # noqa: PLC0415 - models are known once apps are ready

    return sending.enqueue(fields)


def send_after_commit(row: OutgoingNotification) -> None:
    """Send a row right after the commit. If this fails or the process dies, `send_notifications` sends it."""
    from notification_client.django.outbox import sending  # noqa: PLC0415 - models are known once apps are ready

    sending.send_after_commit(row)
