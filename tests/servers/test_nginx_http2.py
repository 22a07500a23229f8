"""Our HTTP/2 client against the distribution's nginx, which closes a connection after some requests (GOAWAY)."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from actors.channels import always
from actors.channels.http_api import Answer, Request
from actors.channels.push.http2 import Http2Client
from actors.channels.push.http2_stream import NotProcessed
from tests import embedded, loops
from tests.servers.stock_nginx import StockNginx
from tests.system import free_port

REQUESTS = 500


@pytest.fixture
def url() -> Iterator[str]:
    """A server that speaks HTTP/2, 16 streams at a time and 20 in all for each connection."""
    port = free_port()
    server = (
        f"listen 127.0.0.1:{port} http2; http2_max_concurrent_streams 16; keepalive_requests 20;"
        ' location / { add_header X-Path "$request_uri"; return 200 "$connection_requests"; }'
    )
    with embedded.short_directory() as directory:
        nginx = StockNginx(directory, server)
        nginx.start()
        yield f"http://127.0.0.1:{port}"
        nginx.stop()


def test_all_requests_are_answered_or_certainly_not_processed(url: str) -> None:
    client = loops.run(_client(url))
    started = [
        loops.submit(client.post(Request(f"{url}/{number}", {}, b"x" * 100), always)) for number in range(REQUESTS)
    ]
    ends = [one.exception(60) or one.result() for one in started]
    loops.run(client.close())

    answered = {end.headers["X-Path"] for end in ends if isinstance(end, Answer) and end.status == 200}
    refused = [end for end in ends if isinstance(end, NotProcessed)]
    assert len(answered) + len(refused) == REQUESTS
    assert len(answered) > REQUESTS / 2


async def _client(url: str) -> Http2Client:
    return Http2Client(url, 20.0, 5.0, ssl.create_default_context())
