"""Fixtures for tests of the callback channel: an endpoint, a channel, a callback, and its failures."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
import uvloop

from actors.channels import Receipt, Undelivered
from actors.channels.webhook.callback import Callback
from actors.channels.webhook.name_resolver import Lookup, look_up
from db import callbacks
from db.callbacks import New
from db.records import Claimed
from settings import Settings
from tests.environment import configured
from tests.hooks import Hooks

BODY = '{"type":"notification.sent","data":{"subject":"Grüße"}}'
SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
LOCAL = "127.0.0.0/8"
IMPATIENT = 0.4  # seconds; only for what hangs

T = TypeVar("T")


async def begin() -> bool:
    """Return True: no other worker has taken the notification over."""
    return True


class Sender:
    """A channel, with the event loop that it belongs to."""

    def __init__(self, channel: Callback) -> None:
        self.channel = channel
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run something on the channel's event loop."""
        return self._runner.run(coroutine)

    def send(self, callback: Claimed, begin: Callable[[], Coroutine[Any, Any, bool]] = begin) -> Receipt:
        """Send one callback."""
        return self.run(self.channel.send(callback, begin))

    def close(self) -> None:
        """End as a worker does."""
        self.run(self.channel.close())
        self._runner.close()


Make = Callable[..., Sender]


@pytest.fixture
def make(store: Settings) -> Iterator[Make]:
    """Makes a channel; what is on this machine is allowed unless said otherwise."""
    made: list[Sender] = []

    def make(look_up: Lookup = look_up, context: ssl.SSLContext | None = None, **values: object) -> Sender:
        with configured(**{"callback_allowed_networks": LOCAL, "callback_rest": 0, **values}) as current:
            made.append(Sender(Callback(current, look_up, context)))
            return made[-1]

    yield make
    for sender in made:
        sender.close()


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    with Hooks() as hooks:
        yield hooks


def to(url: str) -> Claimed:
    """A callback to an endpoint with this URL."""
    made = callbacks.create(New(1, url, "", ["sent"], SECRET), 1000)
    assert made is not None
    at = datetime(2024, 1, 1, tzinfo=UTC)
    return Claimed(7, 1, "callback", "", "notification.sent", BODY, None, "resend", 0, at, callback_id=made["id"])


def failure(sender: Sender, callback: Claimed) -> Undelivered:
    """Send a callback that must fail; return the error, whose text has been checked."""
    with pytest.raises(Undelivered) as caught:
        sender.send(callback)
    text = caught.value.receipt.text
    assert text.isprintable()
    assert 0 < len(text) <= 500
    return caught.value
