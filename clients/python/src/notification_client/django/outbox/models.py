"""The table of notifications that are not sent yet."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from django.db import models
from django.utils import timezone


def new_key() -> str:
    """Return a key for a new row."""
    return str(uuid.uuid4())


class OutgoingNotification(models.Model):
    """A notification that waits to be sent, or that the API has refused. It is deleted once the API has stored it."""

    key: models.CharField[str, str] = models.CharField(primary_key=True, max_length=255, default=new_key)
    """The Idempotency-Key of its request: sent again after a crash, it is stored once."""
    document: models.JSONField[Any, Any] = models.JSONField()
    """The body of the request."""
    created_at: models.DateTimeField[datetime, datetime] = models.DateTimeField(default=timezone.now, editable=False)
    due_at: models.DateTimeField[datetime, datetime] = models.DateTimeField(default=timezone.now)
    """When to send it. A sender moves it into the future, so that others leave it alone for a while."""
    attempts: models.PositiveIntegerField[int, int] = models.PositiveIntegerField(default=0)
    refused_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(null=True, blank=True)
    error: models.TextField[str, str] = models.TextField(blank=True)

    class Meta:
        indexes = (models.Index(fields=["refused_at", "due_at"], name="notification_outbox_due"),)

    def __str__(self) -> str:
        return self.key
