"""Provider with an HTTP API, and its senders, which have one connection each."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple
from urllib.parse import quote, quote_plus

from actors.channels import Begin, Deferred, ProviderDown, Receipt, Throttled, Uncertain, always, printable
from actors.channels.api_limits import ApiLimits
from actors.channels.http_api import Answer, ApiConnection, NoAnswer, Request
from actors.channels.http_begin import TakenOver
from actors.channels.http_judging import retry_after, undelivered
from actors.channels.lease import ConnectionLease
from actors.channels.rate import SharedRate
from actors.channels.tls import https_context
from db.records import Claimed
from settings import Settings
from settings.http_account import HttpAccount
from settings.providers import Provider

TIMEOUT = 60.0  # seconds from the beginning of a request to the end of its answer


class Posting(NamedTuple):
    """The request that sends a notification, and what an answer to it means: a receipt, or an Undelivered."""

    request: Request
    judge: Callable[[Answer], Receipt]


# Makes the posting of a notification with these contents of attachments; raises Undelivered if it cannot be sent.
Compose = Callable[[Claimed, Sequence[bytes]], Posting]


class HttpProvider:
    """Provider for one account with an HTTP API. It belongs to one event loop."""

    pipelines = False
    idle = 5.0  # seconds

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        config: Provider,
        settings: Settings,
        lease: ConnectionLease | None,
        rate: SharedRate | None,
        compose: Compose,
        context: ssl.SSLContext | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self.provider, self.account, self.compose = config.name, http_account(config), compose
        self.secrets = written_forms(config.secrets)
        self.settings, self.timeout = settings, timeout
        self.limits = ApiLimits(config.connections, lease, rate)
        self.context = context or https_context()

    def sender(self) -> HttpSender:
        return HttpSender(self)

    def ready(self, notification: Claimed) -> bool:
        """Return True: all notifications go to the same provider."""
        return True

    async def get(self, request: Request) -> Answer:
        """Return the answer to a request that asks for something, over a connection of its own.

        Raises:
            ProviderDown: There is no answer, or it is not 200.
        """
        connection = ApiConnection(self.timeout, self.settings.smtp.connect_timeout, self.context)
        try:
            answer = await connection.post(request, always)
        except NoAnswer as error:
            raise ProviderDown(printable(error.text), phase=error.phase) from None
        finally:
            await connection.close()
        if answer.status != 200:
            raise undelivered(ProviderDown, answer, "is no answer to a look-up")
        return answer._replace(body=_masked(answer.body, request, self.secrets))

    async def start(self) -> None:
        """Lease this process's share of the connections."""
        await self.limits.start()

    async def close(self) -> None:
        await self.limits.stop()

    def stop(self) -> None:
        """Do nothing: every request has a time limit."""


class HttpSender:
    """Sender over one connection, which is kept. `alive`: it has worked and was not lost since."""

    def __init__(self, provider: HttpProvider) -> None:
        self._provider = provider
        timeout = provider.settings.smtp.connect_timeout
        self._connection = ApiConnection(provider.timeout, timeout, provider.context)
        self.alive = False

    async def send(
        self,
        notification: Claimed,
        begin: Begin = always,
        contents: Sequence[bytes] = (),
        next_notification: Claimed | None = None,
    ) -> Receipt:
        provider = self._provider
        if contents:  # It would block the event loop.
            posting = await asyncio.to_thread(provider.compose, notification, contents)
        else:
            posting = provider.compose(notification, contents)
        begun = time.monotonic()
        answer = await self._post(posting.request, begin)
        if answer.status in (429, 503):
            provider.limits.wait(retry_after(answer))
        try:
            receipt = posting.judge(answer)
        except Throttled:
            provider.limits.throttled(begun)
            raise
        provider.limits.took()
        return receipt

    async def hang_up(self) -> None:
        self._provider.limits.closed(self)
        self.alive = False
        await self._connection.close()

    async def _post(self, request: Request, begin: Begin) -> Answer:
        try:
            answer = await self._connection.post(request, begin)
        except TakenOver:
            raise Deferred("another worker has claimed the notification", phase="request") from None
        except NoAnswer as error:
            self.alive = False
            self._provider.limits.closed(self)
            kind = Uncertain if error.may_have_arrived else ProviderDown
            raise kind(printable(error.text), phase=error.phase) from None
        if not self.alive:
            self.alive = True
            self._provider.limits.opened(self)
        return answer._replace(body=_masked(answer.body, request, self._provider.secrets))


def http_account(config: Provider) -> HttpAccount:
    """Return the account of a provider with an HTTP API."""
    if not isinstance(config.account, HttpAccount):
        raise TypeError(f"the provider {config.name} has no HTTP API")
    return config.account


def written_forms(secrets: Iterable[str]) -> tuple[bytes, ...]:
    """Return what secrets look like in a request: as they are, and in a URL or a form."""
    forms = {form for secret in secrets for form in (secret, quote(secret, safe=""), quote_plus(secret)) if form}
    return tuple(form.encode() for form in forms)


def _masked(body: bytes, request: Request, secrets: Sequence[bytes]) -> bytes:
    """Return the body without our credentials, in case that it repeats the request: it is stored and shown."""
    for secret in (*secrets, request.headers.get("Authorization", "").encode()):
        if secret:
            body = body.replace(secret, b"***")
    return body
