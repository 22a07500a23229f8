"""Fixtures for tests of mail providers with an HTTP API: a sender to a test server, and a send that fails."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from actors.channels import Begin, Receipt, Undelivered, always
from actors.channels.email.http.provider import HttpMailProvider
from db.records import Claimed
from settings import providers
from settings.providers import Provider
from tests import loops
from tests.environment import configured
from tests.providers.apis import SECRET, URLS, Fake
from tests.providers.mails import PLAIN
from tests.providers.server import Server

PATIENT, IMPATIENT = 20.0, 0.5  # seconds; the latter only for what hangs


class Mailer:
    """A sender to a provider, for tests that are no coroutines. `account`: another one than that of the tests."""

    def __init__(
        self,
        kind: str,
        url: str,
        timeout: float = PATIENT,
        context: ssl.SSLContext | None = None,
        account: Provider | None = None,
    ) -> None:
        given = URLS[kind]
        provider = account or providers.parse("PROVIDER_TEST", f"{given}{'&' if '?' in given else '?'}endpoint={url}")
        with configured(mail_from="Shop <noreply@example.com>") as settings:
            self.channel = HttpMailProvider(settings, provider, context=context, timeout=timeout)
        self._sender = self.channel.sender()

    def send(
        self, notification: Claimed = PLAIN, contents: Sequence[bytes] = (), begin: Callable[[], bool] | None = None
    ) -> Receipt:
        return loops.run(self._sender.send(notification, _begin(begin), contents))

    def failure(self, notification: Claimed = PLAIN, contents: Sequence[bytes] = ()) -> Undelivered:
        """Send a mail that must fail; return the error, whose text has been checked."""
        with pytest.raises(Undelivered) as caught:
            self.send(notification, contents)
        text = caught.value.receipt.text
        assert text == str(caught.value)
        assert text
        assert text.isprintable()
        assert len(text) <= 500
        assert SECRET not in text
        return caught.value

    @property
    def connected(self) -> bool:
        """True while the connection that it keeps can be used."""
        connector = self._sender._connection._connector
        return connector is not None and connector._handler is not None and connector._handler.is_connected()

    def hang_up(self) -> None:
        loops.run(self._sender.hang_up())


def _begin(begin: Callable[[], bool] | None) -> Begin:
    async def begun() -> bool:
        return begin is None or begin()

    return begun if begin else always


@contextmanager
def provider(kind: str, timeout: float = PATIENT) -> Iterator[tuple[Server, Fake, Mailer]]:
    """A fake provider, and a sender to it."""
    fake = Fake(kind)
    with Server(fake) as server:
        mailer = Mailer(kind, server.url, timeout)
        try:
            yield server, fake, mailer
        finally:
            mailer.hang_up()
