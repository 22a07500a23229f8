"""HTTP by aiohttp, for AsyncClient."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import aiohttp
from yarl import URL

from notification_client.calls import Answer, Call
from notification_client.endpoint import CONNECT_TIMEOUT, Endpoint
from notification_client.errors import ConnectionFailed
from notification_client.sse import SILENCE


class AiohttpTransport:
    """Sends requests over connections that it keeps open, in the event loop of the first one."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._opened: aiohttp.ClientSession | None = None

    async def exchange(self, call: Call[Any]) -> Answer:
        """Send one request and return its answer; raise ConnectionFailed."""
        limit = self._endpoint.timeout + call.waits
        timeout = aiohttp.ClientTimeout(total=limit + CONNECT_TIMEOUT, sock_connect=CONNECT_TIMEOUT, sock_read=limit)
        with _translated():
            async with self._request(call, timeout) as answer:
                return _answer(answer, await answer.read())

    @asynccontextmanager
    async def stream(self, call: Call[Any]) -> AsyncIterator[tuple[Answer, AsyncIterator[bytes]]]:
        """Send one request; yield the head of its answer, and its body piece by piece."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=SILENCE)
        with _translated():
            answer = await self._request(call, timeout)
        try:
            with _translated():
                head = _answer(answer, b"" if answer.status == 200 else await answer.read())
            yield head, _pieces(answer)
        finally:
            answer.close()

    async def close(self) -> None:
        """Close all connections."""
        if self._opened is not None:
            await self._opened.close()
            self._opened = None

    def _request(self, call: Call[Any], timeout: aiohttp.ClientTimeout) -> Any:
        if self._opened is None:  # Only within a running event loop.
            connector = aiohttp.TCPConnector(ssl=self._endpoint.ssl_context or True)
            self._opened = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self._opened.request(
            call.method,
            URL(self._endpoint.url(call.target), encoded=True),
            data=call.body,
            headers=self._endpoint.headers | call.all_headers,
            timeout=timeout,
            allow_redirects=False,  # another host must not get the key
        )


async def _pieces(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    with _translated():
        async for piece in answer.content.iter_any():
            yield piece


def _answer(answer: aiohttp.ClientResponse, body: bytes) -> Answer:
    return Answer(answer.status, {name.lower(): value for name, value in answer.headers.items()}, body)


@contextmanager
def _translated() -> Iterator[None]:
    """Raise ConnectionFailed for what aiohttp raises."""
    try:
        yield
    except aiohttp.ClientSSLError as error:
        raise ConnectionFailed(f"TLS failed: {error}", may_have_arrived=False, permanent=True) from error
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise ConnectionFailed(f"no connection: {error}", may_have_arrived=False) from error
    except (aiohttp.ClientError, TimeoutError) as error:
        # Its repr may show the headers of the request, and so the key.
        raise ConnectionFailed(f"no answer: {type(error).__name__}: {error}", may_have_arrived=True) from error
