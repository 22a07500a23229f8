"""Measure the sink itself, with a minimal sender that has one mail in flight per connection.

`python -m benchmarks.flood SMTP_PORT [MAILS] [CONNECTIONS]` prints the mails per second.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from typing import cast

import uvloop

# The end of a mail and the next envelope in one write, like a pipelining client (RFC 2920).
MAIL = (
    b"From: a@example.com\r\nSubject: Flood\r\n\r\nHello\r\n.\r\n"
    b"MAIL FROM:<a@example.com>\r\nRCPT TO:<flood-%d@example.com>\r\nDATA\r\n"
)
FIRST = b"EHLO flood\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<flood-first@example.com>\r\nDATA\r\n"


class Sender(asyncio.Protocol):
    """Connection that sends a mail at each 354."""

    def __init__(self, numbers: Iterator[int]) -> None:
        self.numbers = numbers
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first envelope without waiting for the greeting, which the sink allows."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(FIRST)

    def data_received(self, data: bytes) -> None:
        """Send the next mail after a 354."""
        if not data.endswith(b"354 Go ahead\r\n"):
            return
        number = next(self.numbers, None)
        if number is None:
            self.transport.close()
            self.done.set_result(None)
        else:
            self.transport.write(MAIL % number)


async def flood(port: int, mails: int, connections: int) -> float:
    """Send mails over persistent connections, and return the mails per second."""
    loop, numbers = asyncio.get_running_loop(), iter(range(mails))
    started = time.perf_counter()
    opened = [await loop.create_connection(lambda: Sender(numbers), "127.0.0.1", port) for _ in range(connections)]
    await asyncio.wait_for(asyncio.gather(*(sender.done for _, sender in opened)), timeout=60)
    return mails / (time.perf_counter() - started)


if __name__ == "__main__":
    port, mails, connections = (*map(int, sys.argv[1:]), *(50_000, 16)[len(sys.argv) - 2 :])
    print(round(uvloop.run(flood(port, mails, connections))))
