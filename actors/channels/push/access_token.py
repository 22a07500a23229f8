"""Access token of a Google service account (OAuth 2.0, RFC 7523), which all senders of a process share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

from actors.channels import Deferred, ProviderDown, printable
from actors.channels.http_api import Answer, NoAnswer, Request
from actors.channels.http_judging import document, words
from actors.channels.push.jwt import rs256
from actors.channels.push.keys import ServiceAccount

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
LIFETIME = 3_600  # seconds for which a token is asked
MARGIN = 120.0  # seconds before its end at which a token is replaced
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"

Exchange = Callable[[Request], Awaitable[Answer]]


class AccessToken:
    """Access token that is kept until shortly before its end. Senders that need a new one share one request."""

    def __init__(self, account: ServiceAccount, exchange: Exchange) -> None:
        self._account, self._exchange = account, exchange
        self._token, self._until = "", 0.0
        self._asking: asyncio.Task[str] | None = None

    async def get(self) -> str:
        """Return the token.

        Raises:
            ProviderDown, Deferred: There is none, and nothing was sent.
        """
        if self._token and time.monotonic() < self._until:
            return self._token
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
            self._asking.add_done_callback(self._asked)
        return await asyncio.shield(self._asking)

    def drop(self, token: str) -> None:
        """Forget a token that was refused, unless it is replaced already."""
        if token == self._token:
            self._token = ""

    def close(self) -> None:
        """Stop asking."""
        if self._asking is not None:
            self._asking.cancel()

    def _asked(self, task: asyncio.Task[str]) -> None:
        self._asking = None
        if not task.cancelled():
            task.exception()  # asyncio would log an exception that nobody has retrieved.

    async def _ask(self) -> str:
        try:
            answer = await self._exchange(grant(self._account, int(time.time())))
        except NoAnswer as error:
            raise ProviderDown(printable(f"no access token: {error.text}"), phase="login") from None
        said = document(answer)
        token, lasts = said.get("access_token"), said.get("expires_in")
        if answer.status != 200 or not (isinstance(token, str) and token.isascii() and token.isprintable() and token):
            raise _refused(answer)
        seconds = float(lasts) if isinstance(lasts, int) else LIFETIME
        self._token, self._until = token, time.monotonic() + max(seconds - MARGIN, seconds / 2)
        return token


def grant(account: ServiceAccount, now: int) -> Request:
    """Return the request for a token (RFC 7523, section 2.1). `now`: seconds since 1970."""
    claims = {
        "iss": account.email,
        "scope": SCOPE,
        "aud": account.token_uri,
        "iat": now,
        "exp": now + LIFETIME,
    }
    signed = rs256({"kid": account.key_id}, claims, account.key)
    body = urlencode({"grant_type": _GRANT, "assertion": signed}).encode()
    return Request(account.token_uri, {"Content-Type": "application/x-www-form-urlencoded"}, body)


def _refused(answer: Answer) -> Exception:
    said = document(answer)
    text = ": ".join(str(said[name]) for name in ("error", "error_description") if name in said) or words(answer)
    kind = Deferred if answer.status == 429 else ProviderDown
    return kind(printable(f"no access token: {answer.status} {text}"), phase="login", reply_code=answer.status)
