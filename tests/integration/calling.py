"""Words for tests of the callback channel: an endpoint, a channel, a callback, how it fails."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from actors.channels import Undelivered
from actors.channels.callback import Callback
from actors.channels.target import Lookup, resolve
from db import callbacks
from db.callbacks import New
from db.database import database
from db.records import Claimed
from settings import Settings
from tests.environment import configured
from tests.hooks import Hooks

BODY = '{"type":"notification.sent","data":{"subject":"Grüße"}}'
SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
LOCAL = "127.0.0.0/8"
IMPATIENT = 0.4  # seconds; only for what hangs

Make = Callable[..., Callback]


@pytest.fixture
def make(store: Settings) -> Iterator[Make]:
    """Makes a channel; what is on this machine is allowed unless said otherwise."""
    made: list[Callback] = []

    def make(look_up: Lookup = resolve, context: ssl.SSLContext | None = None, **values: object) -> Callback:
        with configured(**{"callback_allowed_networks": LOCAL, "callback_rest": 0, **values}) as current:
            made.append(Callback(current, look_up, context))
            return made[-1]

    yield make
    for channel in made:
        channel.close()


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


def failure(channel: Callback, callback: Claimed) -> Undelivered:
    """How it fails; the calling thread is one that sends, so it keeps no connection."""
    with pytest.raises(Undelivered) as caught:
        channel.send(callback)
    database.connect(reuse_if_open=True)
    text = caught.value.receipt.text
    assert text.isprintable()
    assert 0 < len(text) <= 500
    return caught.value
