"""Rows of the outbox: written in a transaction, sent over HTTP outside of it, deleted after the 201."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from notification_client import notifications
from notification_client.client import Client
from notification_client.django.clients import client as configured_client
from notification_client.django.outbox.models import OutgoingNotification, new_key
from notification_client.errors import InvalidRequest, NotificationError
from notification_client.fields import document

LEASE = timedelta(seconds=120)  # longer than one call with its repetitions
BACKOFF_MAX = 300  # seconds
PAGE = 50


def enqueue(fields: Mapping[str, Any]) -> OutgoingNotification:
    """Write a row; return the one that waits already if the key is given again."""
    given = dict(fields)
    key = given.pop("idempotency_key", None) or new_key()
    row, _ = OutgoingNotification.objects.get_or_create(key=key, defaults={"document": document(given)})
    return row


def send_after_commit(row: OutgoingNotification) -> None:
    """Send a row when the transaction of its database is committed; an error stays in the row."""

    def send() -> None:
        if _take(row):
            _send(row, configured_client())

    transaction.on_commit(send, using=row._state.db, robust=True)


def send_due(client: Client) -> Iterator[OutgoingNotification]:
    """Send all rows that are due, oldest first; yield each that was sent or refused.

    Several processes may do this at the same time. Raises NotificationError when the API cannot be reached or does
    not accept the key; the rows that are left are sent next time.
    """
    while rows := _due():
        for row in rows:
            if _take(row):
                if error := _send(row, client):
                    raise error
                yield row


def requeue_refused() -> int:
    """Make the rows that the API has refused due again; return how many."""
    return OutgoingNotification.objects.exclude(refused_at=None).update(refused_at=None, due_at=timezone.now())


def _due() -> list[OutgoingNotification]:
    waiting = OutgoingNotification.objects.filter(refused_at=None, due_at__lte=timezone.now())
    return list(waiting.order_by("due_at")[:PAGE])


def _take(row: OutgoingNotification) -> bool:
    """Lease a row; return False if another process has it. It is due again when the lease ends, as after a crash."""
    mine = OutgoingNotification.objects.filter(key=row.key, due_at=row.due_at, refused_at=None)
    return bool(mine.update(due_at=timezone.now() + LEASE, attempts=F("attempts") + 1))


def _send(row: OutgoingNotification, client: Client) -> NotificationError | None:
    """Send a row, and delete it or note its refusal; return the error if it has to be sent later."""
    mine = OutgoingNotification.objects.filter(key=row.key)
    try:
        client.perform(notifications.send({**row.document, "idempotency_key": row.key}))
    except InvalidRequest as refused:
        row.refused_at, row.error = timezone.now(), str(refused)
        mine.update(refused_at=row.refused_at, error=row.error)
    except NotificationError as error:
        pause = timedelta(seconds=min(BACKOFF_MAX, 2 ** min(row.attempts, 10)))
        mine.update(due_at=timezone.now() + pause, error=f"{type(error).__name__}: {error}")
        return error
    else:
        mine.delete()
    return None
