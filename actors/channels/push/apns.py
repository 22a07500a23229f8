"""Apple Push Notification service: POST /3/device/<token> over HTTP/2, with a provider token."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import orjson
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from actors.channels import Begin, Deferred, ProviderDown, Receipt, Throttled, Undelivered
from actors.channels.http_api import Answer, Request
from actors.channels.http_judging import document, taken, words
from actors.channels.push import payloads
from actors.channels.push.document import registered
from actors.channels.push.http2 import Http2Client
from actors.channels.push.judging import gone, refusal
from actors.channels.push.jwt import es256
from actors.channels.push.payloads import Push
from db.records import Claimed
from settings.push_accounts import PushAccount

# Seconds for which all processes use the same provider token. Apple wants a new one after 20 to 60 minutes.
TOKEN_KEPT = 1_800
CLOCK_AHEAD = 300  # seconds by which the clock of this machine may be ahead of Apple's
_GONE = frozenset({"Unregistered", "ExpiredToken"})
_REASONS: dict[object, type[Undelivered]] = {
    **dict.fromkeys(("BadTopic", "MissingTopic", "TopicDisallowed"), ProviderDown),
    "BadPath": ProviderDown,
    "IdleTimeout": Deferred,
    **dict.fromkeys(
        (
            *("BadCertificate", "BadCertificateEnvironment", "ExpiredProviderToken", "Forbidden"),
            *("InvalidProviderToken", "MissingProviderToken", "UnrelatedKeyIdInToken", "BadEnvironmentKeyIdInToken"),
        ),
        ProviderDown,
    ),
    "TooManyProviderTokenUpdates": Throttled,
    "TooManyRequests": Deferred,  # for this device
    "ServiceUnavailable": ProviderDown,
    "Shutdown": Deferred,
}


def request(push: Push, base: str, topic: str) -> Request:
    """Return the request, without its provider token."""
    headers = {
        "apns-id": push.uuid,
        "apns-push-type": "alert",
        "apns-topic": topic,
        **payloads.apns_headers(push),
    }
    return Request(f"{base}/3/device/{push.token}", headers, orjson.dumps(payloads.apns(push)))


def judge(answer: Answer, notification: Claimed) -> Receipt:
    """Return the receipt, or raise what the answer means.

    A 410 says since when Apple knows that the token is not valid. The token is suppressed, unless the client says that
    the app has registered it after that: then Apple speaks of an earlier registration.
    """
    if answer.status == 200:
        return taken(answer, answer.headers.get("apns-id"))
    said = document(answer)
    reason = str(said.get("reason") or "")
    if answer.status == 410 and reason in _GONE:
        since = _moment(said.get("timestamp"))
        text = f"{reason} since {since.isoformat()}" if since else reason
        again = registered(notification.mail)
        if since is not None and again is not None and again > since:
            raise refusal(answer, f"{text}, but registered again", {}, reason)
        raise gone(answer, text)
    raise refusal(answer, reason or words(answer), _REASONS, reason)


def provider_token(account: PushAccount, key: EllipticCurvePrivateKey, now: float) -> str:
    """Return the token that identifies our account. It is the same for TOKEN_KEPT seconds, in every process."""
    issued = int(now) // TOKEN_KEPT * TOKEN_KEPT - CLOCK_AHEAD
    return es256({"kid": account.key}, {"iss": account.team, "iat": issued}, key)


class ApnsConnection:
    """Access of one sender to the connection to Apple that all senders share."""

    def __init__(self, client: Http2Client, token: ProviderToken) -> None:
        self._client, self._token = client, token

    async def post(self, request: Request, begin: Begin) -> Answer:
        """POST with a provider token; see `Http2Client.post`."""
        headers = {**request.headers, "authorization": f"bearer {self._token.get()}"}
        return await self._client.post(Request(request.url, headers, request.body), begin)

    async def close(self) -> None:
        """Do nothing: other senders use the connection."""


class ProviderToken:
    """Provider token of an account, which is signed once for all senders."""

    def __init__(self, account: PushAccount, key: EllipticCurvePrivateKey) -> None:
        self._account, self._key = account, key
        self._token, self._since = "", -1

    def get(self) -> str:
        now = time.time()
        if int(now) // TOKEN_KEPT != self._since:
            self._since = int(now) // TOKEN_KEPT
            self._token = provider_token(self._account, self._key, now)
        return self._token


def _moment(timestamp: object) -> datetime | None:
    """Return a time that is given in milliseconds since 1970."""
    try:
        return datetime.fromtimestamp(timestamp / 1000, UTC) if isinstance(timestamp, int) else None
    except (ValueError, OverflowError, OSError):
        return None
