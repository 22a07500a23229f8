"""Fixtures for tests of push providers: a sender to a test server, and a send that fails."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from actors.channels import Begin, Receipt, Undelivered, always
from actors.channels.push.provider import PushProvider
from db.records import Claimed
from settings import providers
from tests import loops
from tests.environment import configured
from tests.providers.http2_server import Http2Server
from tests.providers.push_apis import Apns, Fcm, OwnService, WebPush
from tests.providers.push_keys import BROWSER, SECRET, pem, rsa_key, url
from tests.providers.server import Server

PATIENT, IMPATIENT = 20.0, 0.5  # seconds; the latter only for what hangs
KINDS = ("fcm", "apns", "webpush", "push+https")
DEVICE = "0a" * 32
_ANY = Claimed(5, 1, "push", "", "Hi", "Hello", None, "resend", 0, datetime(2024, 1, 1, tzinfo=UTC))
MESSAGES = {
    "fcm": _ANY._replace(recipient="fcm:token-a"),
    "apns": _ANY._replace(recipient=f"apns:{DEVICE}"),
    "webpush": _ANY._replace(recipient="webpush:https://push.example.com/s/1?a=b", mail={"keys": BROWSER.keys}),
    "push+https": _ANY._replace(recipient="fcm:token-a"),
}


class Pusher:
    """A provider, and a sender to it for tests that are no coroutines."""

    def __init__(
        self, kind: str, given: str, timeout: float = PATIENT, context: ssl.SSLContext | None = None, **values: object
    ) -> None:
        self.kind = kind
        with configured(**values) as settings:
            provider = providers.parse("PROVIDER_TEST", given)
            self.provider = loops.run(_made(settings, provider, context, timeout))
        self._sender = self.provider.sender()

    def start(self, notification: Claimed | None = None, begin: Callable[[], bool] | None = None) -> Future[Receipt]:
        """Begin to send with a sender of its own."""
        notification = notification or MESSAGES[self.kind]
        return loops.submit(_send_and_leave(self.provider, notification, _begin(begin)))

    def send(self, notification: Claimed | None = None, begin: Callable[[], bool] | None = None) -> Receipt:
        return loops.run(self._sender.send(notification or MESSAGES[self.kind], _begin(begin)))

    def failure(self, notification: Claimed | None = None) -> Undelivered:
        """Send a message that must fail; return the error, whose text has been checked."""
        with pytest.raises(Undelivered) as caught:
            self.send(notification)
        text = caught.value.receipt.text
        assert text == str(caught.value)
        assert text
        assert text.isprintable()
        assert len(text) <= 500
        assert pem(rsa_key()).decode()[30:60] not in text
        assert "token-1" not in text
        assert SECRET not in text
        return caught.value

    def close(self) -> None:
        loops.run(self._sender.hang_up())
        loops.run(self.provider.close())


async def _send_and_leave(provider: PushProvider, notification: Claimed, begin: Begin) -> Receipt:
    sender = provider.sender()
    try:
        return await sender.send(notification, begin)
    finally:
        await sender.hang_up()


async def _made(*given: object) -> PushProvider:
    settings, provider, context, timeout = given
    return PushProvider(settings, provider, context=context, timeout=timeout)  # type: ignore[arg-type]


def _begin(begin: Callable[[], bool] | None) -> Begin:
    async def begun() -> bool:
        return begin is None or begin()

    return begun if begin else always


FAKES: dict[str, type[Fcm | Apns | WebPush | OwnService]] = {
    "fcm": Fcm,
    "apns": Apns,
    "webpush": WebPush,
    "push+https": OwnService,
}
Service = tuple[Server | Http2Server, Fcm | Apns | WebPush | OwnService, Pusher]


@contextmanager
def service(kind: str, folder: Path, timeout: float = PATIENT) -> Iterator[Service]:
    """A fake push service, and a provider for it."""
    fakes: dict[str, type[Fcm | Apns | WebPush | OwnService]] = {
        "fcm": Fcm,
        "apns": Apns,
        "webpush": WebPush,
        "push+https": OwnService,
    }
    fake = fakes[kind]()
    server = Http2Server(fake) if kind == "apns" else Server(fake)
    with server:
        pusher = Pusher(kind, url(kind, folder, server.url), timeout)
        try:
            yield server, fake, pusher
        finally:
            pusher.close()
