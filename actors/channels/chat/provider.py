"""Provider of chat messages."""

from __future__ import annotations

import ssl

from actors.channels.chat.apprise_service import AppriseService
from actors.channels.chat.services import SERVICES
from actors.channels.destination_provider import DestinationProvider, Kind
from actors.channels.lease import ConnectionLease
from actors.channels.rate import SharedRate
from actors.channels.webhook.name_resolver import Lookup, look_up
from settings import Settings
from settings.providers import Provider


def make(
    _account: Provider | None, settings: Settings, _lease: ConnectionLease | None, _rate: SharedRate | None
) -> DestinationProvider:
    """Return the provider for a worker: see MakeProvider in actors/worker.py."""
    return chat(settings)


def chat(settings: Settings, look_up: Lookup = look_up, context: ssl.SSLContext | None = None) -> DestinationProvider:
    """Return the provider; raise SettingsError if APPRISE_SERVICES needs what is not installed."""
    kinds: dict[str, Kind] = {**SERVICES, "apprise": AppriseService(settings.chat)}
    return DestinationProvider("chat", kinds, settings, look_up, context)
