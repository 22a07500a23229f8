"""Just enough HTTP/1.1 for a load generator: one POST as bytes, one answer out of bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

PATH = "/api/notifications"
HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) .*?content-length: *(\d+).*?\r\n\r\n", re.IGNORECASE | re.DOTALL)
BODY = '{"type":"email","recipient":"%s","message":"Hello"}'


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where POSTs go."""

    host: str
    port: int

    def post(self, recipient: str) -> bytes:
        """One request that creates a notification."""
        body = BODY % recipient
        return (
            f"POST {PATH} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()


def endpoint(url: str) -> Endpoint:
    """The host and port of an http:// URL."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"{url!r} is not an http:// address")
    return Endpoint(parts.hostname, parts.port or 80)


def answer(buffer: bytes) -> tuple[int, bytes] | None:
    """The status of the first answer in `buffer` and what follows it; None while it is incomplete.

    Chunked answers are not understood: an API that is benchmarked names a Content-Length.
    """
    head = HEAD.match(buffer)
    if head is None:
        if b"\r\n\r\n" in buffer:
            raise ValueError(f"an answer without Content-Length: {buffer[:200]!r}")
        return None
    end = head.end() + int(head[2])
    return (int(head[1]), buffer[end:]) if len(buffer) >= end else None
