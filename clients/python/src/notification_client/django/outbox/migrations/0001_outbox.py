"""The table of the outbox."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations, models
from django.utils import timezone

from notification_client.django.outbox.models import new_key


class Migration(migrations.Migration):
    """Makes the table."""

    initial = True
    operations: ClassVar = [
        migrations.CreateModel(
            name="OutgoingNotification",
            fields=[
                ("key", models.CharField(default=new_key, max_length=255, primary_key=True, serialize=False)),
                ("document", models.JSONField()),
                ("created_at", models.DateTimeField(default=timezone.now, editable=False)),
                ("due_at", models.DateTimeField(default=timezone.now)),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("refused_at", models.DateTimeField(blank=True, null=True)),
                ("error", models.TextField(blank=True)),
            ],
            options={"indexes": [models.Index(fields=["refused_at", "due_at"], name="notification_outbox_due")]},
        ),
    ]
