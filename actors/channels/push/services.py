"""The push services behind one interface: requests, connections, and the meaning of answers."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from typing import Protocol

from actors.channels import Begin, Receipt, always
from actors.channels.http_api import Answer, ApiConnection, Request
from actors.channels.push import apns, fcm, own_service, webpush
from actors.channels.push.access_token import AccessToken
from actors.channels.push.apns import ApnsConnection, ProviderToken
from actors.channels.push.fcm import FcmConnection
from actors.channels.push.http2 import Http2Client
from actors.channels.push.keys import service_account, signing_key
from actors.channels.push.payloads import Push
from actors.channels.push.recipients import ANYWHERE, token_of
from actors.channels.push.webpush import Vapid, WebPushConnection
from actors.channels.webhook.endpoint_fairness import EndpointLimits
from actors.channels.webhook.http_client import HttpClient
from db.records import Claimed
from settings import Settings
from settings.providers import Provider
from settings.push_accounts import PushAccount

TIMEOUT = 60.0  # seconds from the beginning of a request to the end of its answer


def push_account(provider: Provider) -> PushAccount:
    """Return the account of a provider; raise TypeError if it is none of a push service."""
    if not isinstance(provider.account, PushAccount):
        raise TypeError(f"the provider {provider.name} has no account of a push service")
    return provider.account


class Connection(Protocol):
    """Connection of one sender to a service."""

    async def post(self, request: Request, begin: Begin) -> Answer:
        """POST once. `begin` is awaited just before the request is sent; if it returns False, nothing is sent.

        Raises:
            TakenOver: `begin` returned False.
            NoAnswer, Undelivered: There is no answer.
        """

    async def close(self) -> None:
        """Close what no other sender uses."""


class Service(Protocol):
    """Push service, as one account uses it. It belongs to one event loop."""

    def request(self, push: Push) -> Request:
        """Return the request for a message; raise Undelivered if it cannot be sent."""

    def judge(self, answer: Answer, notification: Claimed) -> Receipt:
        """Return the receipt, or raise what the answer means."""

    def connection(self) -> Connection:
        """Return a connection for one sender."""

    def ready(self, recipient: str) -> bool:
        """Return whether a message may be begun now; False if it must wait for others to the same server."""

    async def close(self) -> None:
        """Close what all senders share."""


class Fcm:
    """Firebase Cloud Messaging."""

    judge = staticmethod(fcm.judge)

    def __init__(self, provider: Provider, settings: Settings, context: ssl.SSLContext, timeout: float) -> None:
        account = push_account(provider)
        self._account, self._owner = account, service_account(account)
        self._timeouts = timeout, settings.smtp.connect_timeout
        self._context = context
        self._tokens = AccessToken(self._owner, self._exchange)

    def request(self, push: Push) -> Request:
        return fcm.request(push, self._account.url, self._owner.project, time.time())

    def connection(self) -> FcmConnection:
        return FcmConnection(ApiConnection(*self._timeouts, self._context), self._tokens)

    def ready(self, recipient: str) -> bool:
        return True

    async def close(self) -> None:
        self._tokens.close()

    async def _exchange(self, request: Request) -> Answer:
        connection = ApiConnection(*self._timeouts, self._context)
        try:
            return await connection.post(request, always)
        finally:
            await connection.close()


class Apns:
    """Apple Push Notification service. All senders share one connection."""

    judge = staticmethod(apns.judge)

    def __init__(self, provider: Provider, settings: Settings, context: ssl.SSLContext, timeout: float) -> None:
        account = push_account(provider)
        self._account, self._token = account, ProviderToken(account, signing_key(account))
        self._client = Http2Client(account.url, timeout, settings.smtp.connect_timeout, context)

    def request(self, push: Push) -> Request:
        return apns.request(push, self._account.url, self._account.topic)

    def connection(self) -> ApnsConnection:
        return ApnsConnection(self._client, self._token)

    def ready(self, recipient: str) -> bool:
        return True

    async def close(self) -> None:
        await self._client.close()


class OwnService:
    """Push service of your own. It takes recipients of all kinds."""

    judge = staticmethod(own_service.judge)

    def __init__(self, provider: Provider, settings: Settings, context: ssl.SSLContext, timeout: float) -> None:
        self._account = push_account(provider)
        self._timeouts = timeout, settings.smtp.connect_timeout
        self._context = context

    def request(self, push: Push) -> Request:
        return own_service.request(push, self._account)

    def connection(self) -> ApiConnection:
        return ApiConnection(*self._timeouts, self._context)

    def ready(self, recipient: str) -> bool:
        return True

    async def close(self) -> None:
        """Do nothing: senders share nothing."""


class WebPush:
    """Web Push, at the servers that the recipients name."""

    judge = staticmethod(webpush.judge)

    def __init__(self, provider: Provider, settings: Settings, context: ssl.SSLContext, timeout: float) -> None:
        account = push_account(provider)
        self._endpoint, self._vapid = account.url, Vapid(account, signing_key(account))
        networks = ANYWHERE if self._endpoint else settings.callbacks.networks
        self._client = HttpClient(networks, min(timeout, settings.callbacks.timeout), context=context)
        # A server that does not answer leaves half of the senders to the others.
        self._limits = EndpointLimits(settings, max(1, provider.connections // 2))

    def request(self, push: Push) -> Request:
        return webpush.request(push, self._vapid, time.time())

    def connection(self) -> WebPushConnection:
        return WebPushConnection(self._client, self._limits, self._endpoint)

    def ready(self, recipient: str) -> bool:
        return self._limits.is_free(webpush.origin(token_of(recipient)))

    async def close(self) -> None:
        await self._client.close()


SERVICES: dict[str, Callable[[Provider, Settings, ssl.SSLContext, float], Service]] = {
    "fcm": Fcm,
    "apns": Apns,
    "webpush": WebPush,
    "push+https": OwnService,
}
