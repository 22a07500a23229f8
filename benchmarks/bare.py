"""ASGI application that only answers, with settings for gunicorn: the floor for accepting over HTTP.

`gunicorn --config python:benchmarks.bare benchmarks.bare:app` runs two workers of the same class as ours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

workers = 2
worker_class = "uvicorn_worker.UvicornWorker"
keepalive = 75
control_socket_disable = True

# As long as our answer to a POST.
ANSWER = (
    b'{"id":1,"type":"email","recipient":"accept-64-1-000000001@example.com","status":"pending","retryCount":0}'.ljust(
        600
    )
)
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())]
START = {"type": "http.response.start", "status": 201, "headers": HEADERS}
BODY = {"type": "http.response.body", "body": ANSWER}


async def app(
    scope: Mapping[str, Any],
    receive: Callable[[], Awaitable[Mapping[str, Any]]],
    send: Callable[[Mapping[str, Any]], Awaitable[None]],
) -> None:
    """Read the request and answer 201."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send(START)
    await send(BODY)
