"""Web Push: an encrypted POST to the URL of a browser's subscription (RFC 8030, RFC 8291, RFC 8292).

Clients choose the URLs. So they are called as callbacks are, and nothing that a server answers concerns more than its
own subscriptions: it can neither open the breaker nor slow down messages to others.
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

import orjson
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from actors.channels import Begin, Deferred, Receipt, Refused, Throttled, Uncertain, Undelivered, printable
from actors.channels.http_api import Answer, Request
from actors.channels.http_judging import retry_after, undelivered
from actors.channels.push import payloads
from actors.channels.push.encryption import encrypted, point
from actors.channels.push.judging import gone
from actors.channels.push.jwt import base64url, es256
from actors.channels.push.payloads import LONGEST, Push
from actors.channels.push.subscription import Keys, auth_secret, public_key
from actors.channels.webhook import http_client
from actors.channels.webhook.endpoint_fairness import EndpointLimits
from actors.channels.webhook.http_client import HttpClient, HttpError
from actors.channels.webhook.url_guard import NotPublic, UrlRejected
from db.records import Claimed
from settings.push_accounts import PushAccount

TOKEN_KEPT, TOKEN_LASTS = 3_600, 43_200  # seconds; RFC 8292 allows a day
ORIGINS = 1_000  # servers whose tokens are kept
_NOWHERE = "the host of the URL has no address in the DNS, or one that is not public"


def request(push: Push, vapid: Vapid, now: float) -> Request:
    """Return the request. It is encrypted anew in every attempt."""
    given = push.options.get("keys", {})
    ttl = push.ttl(now)
    headers = {
        "Authorization": vapid.authorization(push.token, now),
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
        "TTL": str(LONGEST if ttl is None else ttl),
        "Topic": push.id,
        "Urgency": payloads.urgency(push),
    }
    try:
        keys = Keys(public_key(given.get("p256dh", "")), auth_secret(given.get("auth", "")))
    except ValueError as error:
        raise Refused(f"the keys of the subscription are not usable: {error}", phase="compose") from None
    return Request(push.token, headers, encrypted(orjson.dumps(payloads.webpush(push)), keys))


def judge(answer: Answer, _notification: Claimed) -> Receipt:
    """Return the receipt, or raise what the answer means. Only 404 and 410 say that the subscription has ended."""
    text = printable(answer.body.decode("utf-8", "replace")) or printable(answer.reason)
    if answer.status in (200, 201, 202, 204):
        where = answer.headers.get("Location", "")
        said = f"{answer.status} taken as {where}" if where else f"{answer.status} {text}"
        return Receipt("answer", answer.status, None, printable(said), printable(where)[:200] or None)
    if answer.status in (404, 410):
        raise gone(answer, text)
    if answer.status in (429, 503) and (wait := retry_after(answer)):  # It concerns this server alone.
        slower = undelivered(Throttled, answer, text)
        slower.retry_after = wait
        raise slower
    raise undelivered(_meaning(answer.status), answer, text)


def _meaning(status: int) -> type[Undelivered]:
    if status in (408, 421, 425, 429, 503) or 300 <= status < 400:
        return Deferred
    return Refused if 400 <= status < 500 else Uncertain


def origin(url: str) -> str:
    """Return the server of a URL (RFC 6454, section 6.1)."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


class Vapid:
    """Identifies us to push services (RFC 8292): `key` signs a token for each server, which is kept for an hour."""

    def __init__(self, account: PushAccount, key: EllipticCurvePrivateKey) -> None:
        self._contact, self._key = f"mailto:{account.contact}", key
        self.public = base64url(point(key.public_key()))
        self._token = lru_cache(ORIGINS)(self._signed)

    def authorization(self, url: str, now: float) -> str:
        """Return the header for a request to this URL. `now`: seconds since 1970."""
        token = self._token(origin(url), int(now) // TOKEN_KEPT)
        return f"vapid t={token}, k={self.public}"

    def _signed(self, origin: str, hour: int) -> str:
        claims = {"aud": origin, "exp": hour * TOKEN_KEPT + TOKEN_LASTS, "sub": self._contact}
        return es256({}, claims, self._key)


class WebPushConnection:
    """Requests of one sender. No connection is kept, and each URL is looked up again.

    `limits`: those of each server. `endpoint`: a server of the operator to which all requests go instead, or empty.
    """

    def __init__(self, client: HttpClient, limits: EndpointLimits, endpoint: str) -> None:
        self._client, self._limits, self._endpoint = client, limits, endpoint

    async def post(self, request: Request, begin: Begin) -> Answer:
        """POST once. Raise Undelivered if there is no answer."""
        server, url = origin(request.url), request.url
        if self._endpoint:
            url = f"{self._endpoint}{urlsplit(url)._replace(scheme='', netloc='').geturl()}"
        timed_out = False
        async with self._limits.turn(server):
            try:
                answer = await self._client.post(http_client.Request(url, request.headers, request.body), begin)
            except (HttpError, UrlRejected) as error:
                timed_out = isinstance(error, HttpError) and error.timed_out
                raise _no_answer(error) from None
            finally:
                self._limits.record(server, timed_out=timed_out)
        return Answer(answer.status, answer.reason, answer.headers, answer.body)

    async def close(self) -> None:
        """Do nothing: no connection is kept."""


def _no_answer(error: HttpError | UrlRejected) -> Undelivered:
    if isinstance(error, UrlRejected):
        return Deferred(_NOWHERE if isinstance(error, NotPublic) else f"the URL {error}", phase="resolve")
    if error.phase == "resolve" and not error.timed_out:
        return Deferred(_NOWHERE, phase="resolve")
    kind = Uncertain if error.may_have_arrived else Deferred
    return kind(printable(error.text) or "the answer cannot be read", phase=error.phase)
