"""HTTP by urllib3, for Client."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, SSLError

from notification_client.calls import Answer, Call
from notification_client.endpoint import CONNECT_TIMEOUT, Endpoint
from notification_client.errors import ConnectionFailed
from notification_client.sse import SILENCE

CONNECTIONS = 10  # kept open at the same time; further threads open further ones


class Urllib3Transport:
    """Sends requests over connections that it keeps open. Threads may share it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._pool = urllib3.PoolManager(maxsize=CONNECTIONS, ssl_context=endpoint.ssl_context)

    def exchange(self, call: Call[Any]) -> Answer:
        """Send one request and return its answer; raise ConnectionFailed."""
        with _translated():
            answer = self._request(call, self._endpoint.timeout + call.waits, whole=True)
            return _answer(answer, answer.data)

    @contextmanager
    def stream(self, call: Call[Any]) -> Iterator[tuple[Answer, Iterator[bytes]]]:
        """Send one request; yield the head of its answer, and its body piece by piece."""
        with _translated():
            answer = self._request(call, SILENCE, whole=False)
        try:
            with _translated():
                head = _answer(answer, b"" if answer.status == 200 else answer.read())
            yield head, _pieces(answer)
        finally:
            # Its rest would come for ever: the connection cannot be used again.
            answer.close()

    def close(self) -> None:
        """Close all connections."""
        self._pool.clear()

    def _request(self, call: Call[Any], timeout: float, *, whole: bool) -> urllib3.BaseHTTPResponse:
        return self._pool.request(
            call.method,
            self._endpoint.url(call.target),
            body=call.body,
            headers=self._endpoint.headers | call.all_headers,
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT, read=timeout),
            preload_content=whole,
            redirect=False,  # another host must not get the key
            retries=False,
        )


def _pieces(answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    with _translated():
        yield from answer.stream()


def _answer(answer: urllib3.BaseHTTPResponse, body: bytes) -> Answer:
    return Answer(answer.status, {name.lower(): value for name, value in answer.headers.items()}, body)


@contextmanager
def _translated() -> Iterator[None]:
    """Raise ConnectionFailed for what urllib3 raises."""
    try:
        yield
    except (NewConnectionError, ConnectTimeoutError) as error:
        raise ConnectionFailed(f"no connection: {error}", may_have_arrived=False) from error
    except SSLError as error:
        untrusted = any(isinstance(cause, ssl.SSLCertVerificationError) for cause in error.args)
        raise ConnectionFailed(f"TLS failed: {error}", may_have_arrived=not untrusted, permanent=untrusted) from error
    except HTTPError as error:
        raise ConnectionFailed(f"no answer: {error}", may_have_arrived=True) from error
