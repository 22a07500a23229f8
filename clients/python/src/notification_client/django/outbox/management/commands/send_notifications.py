"""manage.py send_notifications: sends what waits in the outbox."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import close_old_connections

from notification_client.django.clients import client
from notification_client.django.outbox.sending import requeue_refused, send_due
from notification_client.errors import NotificationError

EVERY = 1.0  # seconds between two looks at an empty outbox


class Command(BaseCommand):
    """Sends due rows once, or for ever. It may be killed at any time, and run in several processes."""

    help = "Send the notifications that wait in the outbox."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--loop", action="store_true", help="go on for ever; look for new ones each second")
        parser.add_argument("--refused", action="store_true", help="also send those that the API has refused before")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Send; raise CommandError if the API is away, unless --loop."""
        if options["refused"]:
            self.stdout.write(f"{requeue_refused()} refused notifications are due again")
        while True:
            try:
                self._send()
            except NotificationError as error:
                if not options["loop"]:
                    raise CommandError(f"notifications wait: {error}") from error
                self.stderr.write(f"notifications wait: {error}")
            if not options["loop"]:
                return
            close_old_connections()
            time.sleep(EVERY)

    def _send(self) -> None:
        sent = 0
        for row in send_due(client()):
            sent += row.refused_at is None
            if row.refused_at is not None:
                self.stderr.write(f"the API refused {row.key}: {row.error}")
        if sent:
            self.stdout.write(f"{sent} sent")
