"""POST to a client's server, within one deadline and with a bound on the size of the answer."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import ssl
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import aiohttp
from yarl import URL

from actors.channels import Begin
from actors.channels.http_begin import TakenOver
from actors.channels.tls import https_context
from actors.channels.webhook.guarded_connector import ANSWER_LIMIT, GuardedConnector
from actors.channels.webhook.name_resolver import Lookup, NameResolver, look_up
from actors.channels.webhook.url_guard import Target, UrlRejected
from settings.callbacks import Network

BODY_LIMIT = 16_384  # bytes of an answer's body that are read
BODY_WAIT = 1.0  # seconds to wait for the body; only the status matters, the body is shown to people
LINE_LIMIT = 65_536  # bytes of a line in an answer's head
_NO_TIMEOUTS = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)


class HttpError(Exception):
    """The request was not answered. `may_have_arrived`: the server may have received and processed it."""

    def __init__(self, phase: str, text: str, *, timed_out: bool = False, may_have_arrived: bool = False) -> None:
        super().__init__(text)
        self.phase, self.text, self.timed_out, self.may_have_arrived = phase, text, timed_out, may_have_arrived


class Answer(NamedTuple):
    """Answer of a server. `headers` ignore the case of names. `body`: its first BODY_LIMIT bytes, not decoded."""

    status: int
    reason: str
    body: bytes
    headers: Mapping[str, str] = {}


class Request(NamedTuple):
    """POST request."""

    url: str
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """HTTP client of one event loop. It calls only URLs and addresses that url_guard allows.

    It follows no redirects, uses no proxy or credentials from the environment, and keeps no cookies and no connections.
    """

    def __init__(
        self,
        allowed: Sequence[Network],
        timeout: float,
        look_up: Lookup = look_up,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._allowed, self._timeout = allowed, timeout
        self._names = NameResolver(look_up)
        self._context = context or https_context()

    async def post(self, request: Request, begin: Begin) -> Answer:
        """POST once. `begin` is awaited just before the request is sent; if it returns False, nothing is sent.

        Raises:
            UrlRejected: The URL, or an address of its host, must not be called.
            HttpError: There is no answer; `phase` is resolve, connect, tls, request or answer.
        """
        until = time.monotonic() + self._timeout
        target = Target.parse(request.url, self._allowed)
        connector = GuardedConnector(target, self._allowed, self._names, self._context, begin)
        async with _session(connector) as session, contextlib.AsyncExitStack() as ending:
            ending.callback(connector.abort)
            response = await _head(session, connector, request, until)
            ending.callback(response.close)
            body = await _body(response, until)
            return Answer(response.status, response.reason or "", body, response.headers)

    async def close(self) -> None:
        """Stop waiting for look-ups."""
        self._names.close()


def _session(connector: GuardedConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=_NO_TIMEOUTS,  # `_head` and `_body` bound the whole request
        trust_env=False,
        auto_decompress=False,  # a small compressed answer may expand to a huge one
        read_bufsize=BODY_LIMIT,
        max_line_size=LINE_LIMIT,
        max_field_size=LINE_LIMIT,
    )


async def _head(
    session: aiohttp.ClientSession, connector: GuardedConnector, request: Request, until: float
) -> aiohttp.ClientResponse:
    target = connector.target
    # Built from the parts that were checked: another parser might read the original text differently.
    url = URL(f"{target.scheme}://{target.authority}{target.path}", encoded=True)
    headers = {"Host": target.authority, "Accept-Encoding": "identity", **request.headers}
    body = io.BytesIO(request.body)
    posting = asyncio.ensure_future(session.post(url, data=body, headers=headers, allow_redirects=False))
    try:
        # Not asyncio.timeout: it would close the sockets, which tell the phase that was reached.
        await asyncio.wait({posting}, timeout=until - time.monotonic())
        if not posting.done():
            raise _error(connector, "no answer in time", timed_out=True)
        return posting.result()
    except (OSError, ValueError, aiohttp.ClientError, TakenOver) as error:
        raise _explained(connector, error) from None
    finally:
        posting.cancel()
        await asyncio.wait({posting})


async def _body(response: aiohttp.ClientResponse, until: float) -> bytes:
    body = b""
    with contextlib.suppress(Exception):  # The status is known, and a faulty body does not change it.
        async with asyncio.timeout(min(BODY_WAIT, until - time.monotonic())):
            while piece := await response.content.read(BODY_LIMIT - len(body)):
                body += piece
    return body


def _error(connector: GuardedConnector, text: str, phase: str = "", *, timed_out: bool = False) -> HttpError:
    return HttpError(phase or connector.phase, text, timed_out=timed_out, may_have_arrived=connector.begun)


def _explained(connector: GuardedConnector, error: Exception) -> Exception:
    """Return an exception with a plain text for `error`.

    The text contains no address, and at most one line of the answer, if that is not HTTP.
    """
    match error:
        case aiohttp.ClientConnectorError(os_error=UrlRejected() as rejected):
            return rejected
        case aiohttp.ClientConnectorDNSError() | UnicodeError():
            return _error(connector, "the host has no address in the DNS", "resolve")
        case aiohttp.ClientConnectorError():
            return _not_connected(connector, error)
    return _error(connector, _no_answer(connector, error))


def _not_connected(connector: GuardedConnector, error: aiohttp.ClientConnectorError) -> HttpError:
    match error.os_error:
        case ssl.SSLCertVerificationError(verify_message=message):
            return _error(connector, f"the server's certificate is not accepted: {message}", "tls")
        case ssl.SSLError(reason=reason):
            words = str(reason or "the server ended it").replace("_", " ").lower()
            return _error(connector, f"the TLS handshake failed: {words}", "tls")
        case ConnectionResetError() | ConnectionAbortedError() | BrokenPipeError():
            # A TCP connection that can be reset was established, so it failed during TLS.
            return _error(connector, "the connection was closed during the TLS handshake", "tls")
        case OSError(errno=int() as number):
            return _error(connector, os.strerror(number))
    return _error(connector, "no address of the host accepts a connection")


def _no_answer(connector: GuardedConnector, error: Exception) -> str:
    match error:
        case TakenOver():
            return "another worker has claimed the notification"
        case _ if connector.overflowed:
            return f"the head of the answer is longer than {ANSWER_LIMIT} bytes"
        case aiohttp.ClientResponseError():
            return f"the answer is not HTTP: {error.message.strip().splitlines()[0]}"
        case OSError(errno=int() as number):
            return os.strerror(number)
    return "the connection was closed before there was an answer"
