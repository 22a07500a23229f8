"""Fixtures for tests of providers of text messages: a sender to a test server, and a send that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from actors.channels import Receipt, Undelivered, always
from actors.channels.sms.provider import make
from db.records import Claimed
from settings import providers
from tests import loops
from tests.environment import configured
from tests.providers.apis import SECRET
from tests.providers.server import Server
from tests.providers.sms import TEXT, URLS, Fake

PATIENT, IMPATIENT = 20.0, 0.5  # seconds; the latter only for what hangs


class Texter:
    """A sender to a provider, for tests that are no coroutines."""

    def __init__(self, account: str, url: str, timeout: float = PATIENT) -> None:
        config = providers.parse("PROVIDER_TEST", f"{account}{'&' if '?' in account else '?'}endpoint={url}")
        with configured() as settings:
            self.provider: Any = make(config, settings, None, None)
        self.provider.timeout = timeout
        self._sender = self.provider.sender()

    def send(self, notification: Claimed = TEXT, begin: Callable[[], bool] | None = None) -> Receipt:
        async def begun() -> bool:
            return begin is None or begin()

        return loops.run(self._sender.send(notification, begun if begin else always))

    def failure(self, notification: Claimed = TEXT) -> Undelivered:
        """Send a message that must fail; return the error, whose text has been checked."""
        with pytest.raises(Undelivered) as caught:
            self.send(notification)
        text = caught.value.receipt.text
        assert text == str(caught.value)
        assert text
        assert text.isprintable()
        assert len(text) <= 500
        assert SECRET not in text
        return caught.value

    def hang_up(self) -> None:
        loops.run(self._sender.hang_up())


@contextmanager
def provider(kind: str, timeout: float = PATIENT) -> Iterator[tuple[Server, Fake, Texter]]:
    """A fake provider, and a sender to it."""
    fake = Fake(kind)
    with Server(fake) as server:
        texter = Texter(URLS[kind], server.url, timeout)
        try:
            yield server, fake, texter
        finally:
            texter.hang_up()
