"""Closed-loop POSTs from Python, for machines without wrk and for an exact number of POSTs.

`python -m benchmarks.closedloop URL CONNECTIONS PREFIX --seconds S | --count N [--items N]`
prints the same line of JSON as post.lua.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from typing import cast

import uvloop

from benchmarks.wire import Endpoint, answer, endpoint


class Run:
    """State that all connections share: the requests still to send, and the answers."""

    def __init__(
        self, target: Endpoint, prefix: str, count: int | None, seconds: float | None, items: int | None
    ) -> None:
        self.target, self.prefix = target, prefix
        self.count = count
        self.deadline = None if seconds is None else time.perf_counter() + seconds
        self.sent = self.errors = 0
        self.times: list[float] = []
        # Built once: building a thousand addresses each time would make the generator the bottleneck.
        self.batch = target.batch(prefix, items) if items else None

    def next(self) -> bytes | None:
        """Return the next request; None if enough have been sent."""
        if self.count is not None and self.sent >= self.count:
            return None
        if self.deadline is not None and time.perf_counter() >= self.deadline:
            return None
        self.sent += 1
        return self.batch or self.target.post(f"{self.prefix}{self.sent}@example.com")


class Connection(asyncio.Protocol):
    """Connection with one request in flight."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.rest = b""
        self.in_flight = False
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self.transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        """Count the answer, and send the next request."""
        found = answer(self.rest + data)
        if found is None:
            self.rest += data
            return
        status, self.rest = found
        self.run.times.append(time.perf_counter() - self.started)
        self.run.errors += status != 201
        self.in_flight = False
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count an unanswered request as an error, and end."""
        self.run.errors += self.in_flight
        if not self.done.done():
            self.done.set_result(None)

    def _send(self) -> None:
        request = self.run.next()
        if request is None:
            self.transport.close()
            return
        self.in_flight = True
        self.started = time.perf_counter()
        self.transport.write(request)


async def _drive(run: Run, connections: int) -> None:
    loop = asyncio.get_running_loop()
    address = run.target.host, run.target.port
    opened = [await loop.create_connection(lambda: Connection(run), *address) for _ in range(connections)]
    await asyncio.gather(*(connection.done for _, connection in opened))


def main() -> None:
    """Run once, and print one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("connections", type=int)
    parser.add_argument("prefix")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--count", type=int)
    parser.add_argument("--items", type=int, help="items of each POST: send batches, all with the same items")
    options = parser.parse_args()
    run = Run(endpoint(options.url), options.prefix, options.count, options.seconds, options.items)
    started = time.perf_counter()
    uvloop.run(_drive(run, options.connections))
    seconds = time.perf_counter() - started
    times = sorted(run.times) or [0.0]
    percentiles = {f"p{p}": times[len(times) * p // 100] * 1_000 for p in (50, 95, 99)}
    print(json.dumps({"answers": len(run.times), "seconds": seconds, "errors": run.errors} | percentiles))


if __name__ == "__main__":
    main()
