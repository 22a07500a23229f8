"""Minimal HTTP/1.1 for a load generator: write a POST as bytes, parse an answer."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

PATH = "/api/notifications"
HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) .*?content-length: *(\d+).*?\r\n\r\n", re.IGNORECASE | re.DOTALL)
BODY = '{"type":"email","recipient":"%s","message":"Hello"}'


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Target of POSTs, with the key to send, if any."""

    host: str
    port: int
    key: str = ""
    path: str = PATH

    def post(self, recipient: str) -> bytes:
        """Return a request that creates one notification."""
        return self._request(BODY % recipient)

    def batch(self, prefix: str, items: int) -> bytes:
        """Return a request that creates `items` notifications, to `prefix`1@example.com and so on."""
        bodies = (BODY % f"{prefix}{n}@example.com" for n in range(1, items + 1))
        return self._request(f'{{"items":[{",".join(bodies)}]}}')

    def _request(self, body: str) -> bytes:
        proof = f"Authorization: Bearer {self.key}\r\n" if self.key else ""
        return (
            f"POST {self.path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
            f"{proof}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()


def endpoint(url: str) -> Endpoint:
    """Return the endpoint of an http:// URL; without a path, that of single notifications. NOTIFY_KEY is the key."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"{url!r} is not an http:// URL")
    return Endpoint(parts.hostname, parts.port or 80, os.environ.get("NOTIFY_KEY", ""), parts.path or PATH)


def answer(buffer: bytes) -> tuple[int, bytes] | None:
    """Return the status of the first answer in `buffer` and the data after it; None if the answer is incomplete.

    Chunked answers are not supported: a measured API must send Content-Length.
    """
    head = HEAD.match(buffer)
    if head is None:
        if b"\r\n\r\n" in buffer:
            raise ValueError(f"an answer without Content-Length: {buffer[:200]!r}")
        return None
    end = head.end() + int(head[2])
    return (int(head[1]), buffer[end:]) if len(buffer) >= end else None
