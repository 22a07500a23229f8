"""Requests to a provider's API over one connection that is kept, knowing each time whether one can have arrived."""

from __future__ import annotations

import contextlib
import io
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import aiohttp
from yarl import URL

from actors.channels import Begin
from actors.channels.api_connector import ApiConnector

BODY_LIMIT = 65_536  # bytes of an answer's body that are read; a longer one is cut off
HEAD_LIMIT = 16_384  # bytes of a line in an answer's head
_NO_TIMEOUTS = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)


class NoAnswer(Exception):
    """The request was not answered. `phase`: connect, tls, request or answer.

    `may_have_arrived`: the operating system has taken the whole request. If False, the provider cannot have all of it,
    and certainly does nothing with it.
    """

    def __init__(self, phase: str, text: str, *, may_have_arrived: bool) -> None:
        super().__init__(text)
        self.phase, self.text, self.may_have_arrived = phase, text, may_have_arrived


class Answer(NamedTuple):
    """Answer of a provider. `headers` ignore the case of names. `body`: at most BODY_LIMIT bytes, not decoded."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """Request. `repr` shows neither the headers, which have the key, nor the body."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    method: str = "POST"


class ApiConnection:
    """Connection of one sender to a provider. One request at a time; it is opened again when it is lost.

    It follows no redirects, uses no proxy or credentials from the environment, keeps no cookies, and verifies TLS.
    """

    def __init__(self, timeout: float, connect_timeout: float, context: ssl.SSLContext) -> None:
        self._timeout, self._connect_timeout, self._context = timeout, connect_timeout, context
        self._connector: ApiConnector | None = None
        self._session: aiohttp.ClientSession | None = None

    async def post(self, request: Request, begin: Begin) -> Answer:
        """Send a request once, most often a POST.

        `begin` is awaited just before it is sent; if it returns False, nothing is sent.

        Raises:
            TakenOver: `begin` returned False.
            NoAnswer: There is no answer, within the time-out or at all.
        """
        session, connector = self._open()
        connector.expect(len(request.body), begin)
        try:
            response = await _head(session, request)
        except (OSError, ValueError, aiohttp.ClientError) as error:
            no_answer = _explained(connector, error)
            await self.close()
            raise no_answer from None
        except BaseException:
            await self.close()
            raise
        body = await _body(response)
        connector.answered()
        if connector.may_have_arrived:
            response.release()
        else:  # The answer came before the end of the request, which must not go on.
            response.close()
        return Answer(response.status, response.reason or "", response.headers, body)

    async def close(self) -> None:
        """Close the connection at once."""
        if self._session is not None and self._connector is not None:
            self._connector.answered()
            self._connector.abort()
            await self._session.close()
        self._session = self._connector = None

    def _open(self) -> tuple[aiohttp.ClientSession, ApiConnector]:
        if self._session is None or self._connector is None:
            self._connector = ApiConnector(self._context, self._timeout, self._connect_timeout)
            self._session = aiohttp.ClientSession(
                connector=self._connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=_NO_TIMEOUTS,  # the connector bounds the whole request
                trust_env=False,
                trace_configs=[self._connector.trace],
                auto_decompress=False,  # a small compressed answer may expand to a huge one
                read_bufsize=BODY_LIMIT,
                max_line_size=HEAD_LIMIT,
                max_field_size=HEAD_LIMIT,
            )
        return self._session, self._connector


async def _head(session: aiohttp.ClientSession, request: Request) -> aiohttp.ClientResponse:
    headers = {"Accept-Encoding": "identity", "User-Agent": "notification-system", **request.headers}
    url, body = URL(request.url, encoded=True), io.BytesIO(request.body) if request.body else None
    return await session.request(request.method, url, data=body, headers=headers, allow_redirects=False)


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """Return the body as far as it comes; the status is known, and a body that is cut off does not change it."""
    body = b""
    with contextlib.suppress(OSError, ValueError, aiohttp.ClientError):
        while len(body) < BODY_LIMIT and (piece := await response.content.read(BODY_LIMIT - len(body))):
            body += piece
    return body


def _explained(connector: ApiConnector, error: Exception) -> NoAnswer:
    """Return the error with a plain text, which quotes nothing of the request or the answer."""
    if connector.late:
        phase, may_have_arrived = connector.late
        return NoAnswer(phase, "no answer in time", may_have_arrived=may_have_arrived)
    phase, text = connector.phase, "the connection was closed before there was an answer"
    match error:
        case TimeoutError() if phase == "connect":
            text = "no connection in time"
        case aiohttp.ClientConnectorDNSError() | UnicodeError():
            phase, text = "connect", "the host has no address in the DNS"
        case aiohttp.ClientConnectorCertificateError(certificate_error=ssl.SSLCertVerificationError() as refused):
            phase, text = "tls", f"the server's certificate is not accepted: {refused.verify_message}"
        case aiohttp.ClientConnectorSSLError():
            phase, text = "tls", "the TLS handshake failed"
        case aiohttp.ClientResponseError():
            text = "the answer is not HTTP"
        case aiohttp.ClientConnectorError(os_error=OSError(errno=int() as number)) | OSError(errno=int() as number):
            text = os.strerror(number)
    return NoAnswer(phase, text, may_have_arrived=connector.may_have_arrived)
