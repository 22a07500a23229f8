"""Fixtures for tests of chat and webhooks: a provider on its event loop, a destination, a notification, and
failures."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import uvloop

from actors.channels import Receipt, Undelivered
from actors.channels.chat.provider import chat
from actors.channels.destination_provider import DestinationProvider
from actors.channels.webhook.name_resolver import Lookup, look_up
from actors.channels.webhook.provider import webhook
from db import destinations
from db.destinations import New
from db.records import Claimed
from settings import Settings
from tests.environment import configured
from tests.providers.chat import CHAT, TOKEN, Chats
from tests.providers.server import Server

LOCAL = "127.0.0.0/8"
SECRET = "whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"
CHANNELS = {"chat": chat, "webhook": webhook}


async def begin() -> bool:
    """Return True: no other worker has taken the notification over."""
    return True


class Sender:
    """A provider, with the event loop that it belongs to."""

    def __init__(self, provider: DestinationProvider) -> None:
        self.provider = provider
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run something on the provider's event loop."""
        return self._runner.run(coroutine)

    def send(self, notification: Claimed, begin: Callable[[], Coroutine[Any, Any, bool]] = begin) -> Receipt:
        """Send one notification."""
        receipt: Receipt = self.run(self.provider.send(notification, begin))
        return receipt

    def failure(self, notification: Claimed) -> Undelivered:
        """Send a notification that must fail; return the error, whose text has been checked."""
        with pytest.raises(Undelivered) as caught:
            self.send(notification)
        text = caught.value.receipt.text
        assert text.isprintable()
        assert 0 < len(text) <= 500
        return caught.value

    def close(self) -> None:
        """End as a worker does."""
        self.run(self.provider.close())
        self._runner.close()


Make = Callable[..., Sender]


@pytest.fixture
def make(store: Settings) -> Iterator[Make]:
    """Makes a provider; what is on this machine is allowed unless said otherwise."""
    made: list[Sender] = []

    def make(
        channel: str = "chat", look_up: Lookup = look_up, context: ssl.SSLContext | None = None, **values: object
    ) -> Sender:
        with configured(**{"callback_allowed_networks": LOCAL, "callback_rest": 0, **values}) as current:
            made.append(Sender(CHANNELS[channel](current, look_up, context)))
            return made[-1]

    yield make
    for sender in made:
        sender.close()


@pytest.fixture
def chats() -> Chats:
    return Chats()


@pytest.fixture
def server(chats: Chats) -> Iterator[Server]:
    with Server(chats.serve) as server:
        yield server


def destination(kind: str, url: str, name: str = "alerts") -> None:
    """Create a destination of this kind at a server."""
    match kind:
        case "telegram":
            new = New(1, name, kind, url, token=TOKEN, chat_id=CHAT)
        case "webhook":
            new = New(1, name, kind, f"{url}/hook", secret=SECRET)
        case _:
            new = New(1, name, kind, f"{url}/{kind}/secret")
    destinations.create(new, 1_000)


def to(name: str = "alerts", type: str = "chat", **fields: Any) -> Claimed:
    """Return a claimed notification to a destination."""
    values = {"subject": "Disk", "message": "is full", "html": None, "on_uncertain": "resend", **fields}
    return Claimed(7, 1, type, name, retry_count=0, created_at=datetime(2024, 1, 1, tzinfo=UTC), **values)
