"""Mail provider that is reached by HTTP, and its senders, which have one connection each."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from actors.channels import (
    Begin,
    Deferred,
    ProviderDown,
    Receipt,
    Throttled,
    Uncertain,
    Undelivered,
    always,
    printable,
)
from actors.channels.email.http import brevo, mailgun, postmark, resend, sendgrid, ses
from actors.channels.email.http.judging import retry_after
from actors.channels.email.http.limits import ApiLimits
from actors.channels.email.http.outgoing import Outgoing
from actors.channels.email.identity import Identities
from actors.channels.email.mailboxes import mail_from
from actors.channels.email.unsubscribing import url
from actors.channels.http_api import Answer, ApiConnection, NoAnswer, Request
from actors.channels.http_begin import TakenOver
from actors.channels.lease import ConnectionLease
from actors.channels.rate import SharedRate
from db.records import Claimed
from settings import Settings
from settings.http_account import HttpAccount
from settings.providers import Provider

TIMEOUT = 60.0  # seconds from the beginning of a request to the end of its answer


class Api(Protocol):
    """Module of one provider."""

    def request(self, outgoing: Outgoing, account: HttpAccount) -> Request:
        """Return the request that sends a mail; raise Undelivered if the provider cannot send it."""

    def judge(self, answer: Answer, blamed: type[Undelivered]) -> Receipt:
        """Return the receipt, or raise what an answer means. `blamed`: what a refusal of the sender means."""


APIS: Mapping[str, Api] = {
    "ses": ses,
    "postmark": postmark,
    "sendgrid": sendgrid,
    "mailgun": mailgun,
    "resend": resend,
    "brevo": brevo,
}


class HttpMailProvider:
    """Channel for one account with an HTTP API. It belongs to one event loop."""

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
        identities: Identities | None = None,
    ) -> None:
        if not isinstance(provider.account, HttpAccount):
            raise TypeError(f"the provider {provider.name} has no HTTP API")
        self.provider, self.account = provider.name, provider.account
        self.settings, self.timeout, self._identities = settings, timeout, identities
        self.limits = ApiLimits(provider.connections, lease, rate)
        self.api = APIS[provider.account.kind]
        own = f"the option from of {provider.account.variable}"
        self.own_sender = mail_from(provider.sender, own) if provider.sender else mail_from(settings.smtp.sender)
        self.context = context or ssl.create_default_context()

    def sender(self) -> HttpMailSender:
        return HttpMailSender(self)

    def ready(self, notification: Claimed) -> bool:
        """Return True: all mails go to the same provider."""
        return True

    async def start(self) -> None:
        """Lease this process's share of the connections."""
        await self.limits.start()

    async def close(self) -> None:
        await self.limits.stop()

    def stop(self) -> None:
        """Do nothing: every request has a time limit."""

    def outgoing(self, notification: Claimed, contents: Sequence[bytes]) -> Outgoing:
        leave = url(notification.id, self.settings.public) if notification.mail else None
        identity = self._identities and self._identities.of(notification)
        return Outgoing(notification, self.own_sender, datetime.now(UTC), contents, leave, identity)


class HttpMailSender:
    """Sender over one connection, which is kept from mail to mail. `alive`: it has worked and was not lost since."""

    def __init__(self, provider: HttpMailProvider) -> None:
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
        outgoing = provider.outgoing(notification, contents)
        if contents:  # It would block the event loop.
            request = await asyncio.to_thread(provider.api.request, outgoing, provider.account)
        else:
            request = provider.api.request(outgoing, provider.account)
        begun = time.monotonic()
        answer = await self._post(request, begin)
        if answer.status in (429, 503):
            provider.limits.wait(retry_after(answer))
        try:
            receipt = provider.api.judge(answer, outgoing.blamed)
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
        return answer._replace(body=_masked(answer.body, request, self._provider.account))


def _masked(body: bytes, request: Request, account: HttpAccount) -> bytes:
    """Return the body without our credentials, in case that it repeats the request: it is stored and shown."""
    for secret in (account.secret, request.headers.get("Authorization")):
        if secret:
            body = body.replace(secret.encode(), b"***")
    return body
