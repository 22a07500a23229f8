"""Provider of webhooks."""

from __future__ import annotations

import ssl

from actors.channels.destination_provider import DestinationProvider
from actors.channels.lease import ConnectionLease
from actors.channels.rate import SharedRate
from actors.channels.webhook.name_resolver import Lookup, look_up
from actors.channels.webhook.service import WebhookService
from settings import Settings
from settings.providers import Provider


def make(
    _account: Provider | None, settings: Settings, _lease: ConnectionLease | None, _rate: SharedRate | None
) -> DestinationProvider:
    """Return the provider for a worker: see MakeProvider in actors/worker.py."""
    return webhook(settings)


def webhook(
    settings: Settings, look_up: Lookup = look_up, context: ssl.SSLContext | None = None
) -> DestinationProvider:
    """Return the provider. It tells the trace, because the servers are the clients' own."""
    return DestinationProvider("webhook", {"webhook": WebhookService()}, settings, look_up, context, traced=True)
