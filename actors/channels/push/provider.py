"""Push provider: one account of a push service, and its senders."""

from __future__ import annotations

import ssl
import time
from collections.abc import Sequence

from actors.channels import Begin, Deferred, ProviderDown, Receipt, Throttled, Uncertain, always, printable
from actors.channels.api_limits import ApiLimits
from actors.channels.http_api import Answer, NoAnswer, Request
from actors.channels.http_begin import TakenOver
from actors.channels.http_judging import retry_after
from actors.channels.lease import ConnectionLease
from actors.channels.push.http2_stream import NotProcessed
from actors.channels.push.payloads import Push
from actors.channels.push.recipients import reached
from actors.channels.push.services import SERVICES, TIMEOUT, Service, push_account
from actors.channels.rate import SharedRate
from db.records import Claimed
from settings import Settings
from settings.providers import Provider


class PushProvider:
    """Provider for one account. It belongs to one event loop. `connections` are requests at a time."""

    pipelines = False
    idle = 5.0  # seconds

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        settings: Settings,
        provider: Provider,
        lease: ConnectionLease | None = None,
        rate: SharedRate | None = None,
        context: ssl.SSLContext | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        account = push_account(provider)
        self.provider, self.kind, self.secret = provider.name, account.kind, account.secret
        self._beginning = reached(provider)
        self.limits = ApiLimits(provider.connections, lease, rate)
        context = context or ssl.create_default_context()
        self.service: Service = SERVICES[self.kind](provider, settings, context, timeout)

    def takes(self, notification: Claimed) -> bool:
        """Return whether a notification's recipient is of a kind that this account reaches."""
        return notification.recipient.startswith(self._beginning)

    def sender(self) -> PushSender:
        return PushSender(self)

    def ready(self, notification: Claimed) -> bool:
        """Return False if the server of a browser's subscription has its maximum of requests."""
        return self.service.ready(notification.recipient)

    async def start(self) -> None:
        """Lease this process's share of the requests at a time."""
        await self.limits.start()

    async def close(self) -> None:
        await self.service.close()
        await self.limits.stop()

    def stop(self) -> None:
        """Do nothing: every request has a time limit."""


class PushSender:
    """Sender of one message at a time. `alive`: the service has answered it, and was not lost since."""

    def __init__(self, provider: PushProvider) -> None:
        self._provider = provider
        self._connection = provider.service.connection()
        self.alive = False

    async def send(
        self,
        notification: Claimed,
        begin: Begin = always,
        contents: Sequence[bytes] = (),
        next_notification: Claimed | None = None,
    ) -> Receipt:
        provider = self._provider
        if not provider.takes(notification):
            raise ProviderDown(f"{provider.provider} sends to {provider.kind}: recipients only", phase="compose")
        request = provider.service.request(Push.of(notification))
        begun = time.monotonic()
        answer = await self._post(request, begin)
        if answer.status in (429, 503) and provider.kind != "webpush":  # Those servers are chosen by clients.
            provider.limits.wait(retry_after(answer))
        try:
            receipt = provider.service.judge(answer, notification)
        except Throttled as slower:
            if slower.retry_after is None:  # Otherwise only this message has to wait.
                provider.limits.throttled(begun)
            raise
        provider.limits.took()
        return receipt

    async def hang_up(self) -> None:
        self._lose()
        await self._connection.close()

    async def _post(self, request: Request, begin: Begin) -> Answer:
        try:
            answer = await self._connection.post(request, begin)
        except TakenOver:
            raise Deferred("another worker has claimed the notification", phase="request") from None
        except NotProcessed as error:
            raise Deferred(printable(error.text), phase=error.phase) from None
        except NoAnswer as error:
            self._lose()
            kind = Uncertain if error.may_have_arrived else ProviderDown
            raise kind(printable(error.text), phase=error.phase) from None
        if not self.alive:
            self.alive = True
            self._provider.limits.opened(self)
        # An answer may repeat the request, and is stored and shown.
        secret = self._provider.secret.encode()
        return answer._replace(body=answer.body.replace(secret, b"***")) if secret else answer

    def _lose(self) -> None:
        self._provider.limits.closed(self)
        self.alive = False
