"""Measure the cost and delay of many open streams: gunicorn with two processes, everything on one machine.

`python -m benchmarks.listeners [LISTENERS] [CLIENTS] [RATE] [SECONDS]` opens LISTENERS streams for CLIENTS clients of
the API, while RATE notifications per second are accepted, claimed and settled as sent (without an SMTP server). The
delay of an event is measured from the end of the settling statement until the last byte of the event is read.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple, cast
from uuid import uuid4

import uvloop

from benchmarks.processes import Part, cpu_seconds, memory_mb, wait_until
from benchmarks.servers import free_port
from benchmarks.stack import Stack
from benchmarks.target import ROOT
from db import clients, database, keys, lifecycle, migrations, secrets
from db.keys import Grant
from db.records import Attempt, Draft
from db.secrets import KeyText
from settings import read

PROCESSES = 2
SENT = re.compile(rb'"event":"sent","at":"[^"]+","notification":\{"id":(\d+)')
QUIET = 5.0  # seconds without any events


class Load(NamedTuple):
    listeners: int = 2_000
    clients: int = 200
    rate: float = 20
    seconds: float = 15


class Listener(asyncio.Protocol):
    """Stream that records the delay of each event."""

    def __init__(self, key: str, settled: dict[int, float], delays: list[float]) -> None:
        self._head = f"GET /api/stream?status=sent HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer {key}\r\n\r\n"
        self._settled, self._delays, self._left = settled, delays, b""
        self.ready = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(self._head.encode())

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        data = self._left + data
        if not self.ready.done() and b"event: ready" in data:
            self.ready.set_result(None)
        end = 0
        for found in SENT.finditer(data):
            end = found.end()
            if at := self._settled.get(int(found[1])):
                self._delays.append(now - at)
        self._left = data[max(end, len(data) - 300) :]


@contextmanager
def api(folder: Path, url: str, redis_url: str, load: Load) -> Iterator[tuple[Part, int]]:
    """Run gunicorn on a migrated database; yield the process and its port."""
    port, log = free_port(), folder / "api.log"
    environ = {"DATABASE_URL": url, "REDIS_URL": redis_url, "SMTP_URL": "smtp://127.0.0.1:9", "LOG_FORMAT": "json"}
    environ |= {
        "BIND": f"127.0.0.1:{port}",
        "WEB_CONCURRENCY": str(PROCESSES),
        "PATH": f"{Path(sys.executable).parent}",
    }
    environ |= {"STREAM_LISTENERS": str(load.listeners)}
    part = Part(
        ["gunicorn"], environ, ROOT, log, lambda: log.read_text().count("Application startup complete") == PROCESSES
    )
    part.start()
    try:
        yield part, port
    finally:
        part.stop()


def keys_of(count: int) -> list[tuple[int, str]]:
    """Create clients of the API, and return their ids and keys."""
    made = []
    for number in range(count):
        client, secret = clients.create(f"listener {number}", {}), secrets.new()
        assert client is not None
        key = keys.create(client.id, secrets.digest(secret), Grant("bench", ["read"]))
        assert key is not None
        made.append((client.id, str(KeyText(key.id, False, secret))))
    return made


def settle_all(owners: list[int], load: Load, settled: dict[int, float]) -> None:
    """Accept, claim and settle notifications at the rate, one after the other."""
    worker, begun = uuid4(), time.monotonic()
    with database.connection():
        for number in range(int(load.rate * load.seconds)):
            time.sleep(max(0.0, begun + number / load.rate - time.monotonic()))
            draft = Draft("email", "a@example.com", "Hi", "Hello", None, client_id=owners[number % len(owners)])
            [stored] = lifecycle.accept([draft], 3_600)
            [held] = lifecycle.claim([stored.id], worker)
            now = time.monotonic()
            made = Attempt("sent", worker, "mail:25", now, now, "content", 250, "2.0.0", "250 ok")
            # Set before the event can arrive, and again with the exact time.
            settled[held.id] = time.monotonic()
            lifecycle.settle([lifecycle.sent(held, made)], 10, time.monotonic())
            settled[held.id] = time.monotonic()
    database.database.close()


async def listen(port: int, known: list[tuple[int, str]], load: Load, part: Part) -> None:
    loop, settled, delays = asyncio.get_running_loop(), dict[int, float](), list[float]()
    before = sum(memory_mb(part.pid))
    opened, begun = [], time.monotonic()
    for number in range(load.listeners):
        listener = Listener(known[number % len(known)][1], settled, delays)
        await loop.create_connection(partial(identity, listener), "127.0.0.1", port)
        opened.append(listener)
    await asyncio.wait_for(asyncio.gather(*(listener.ready for listener in opened)), 60)
    say(f"{load.listeners} streams of {load.clients} clients ready after {time.monotonic() - begun:.1f} s")
    after = sum(memory_mb(part.pid))
    each = (after - before) * 1e3 / load.listeners
    say(f"memory of the API: {before:.0f} MB without streams, {after:.0f} MB with them: {each:.1f} KB for each")
    used = cpu_seconds(part.pid)
    await asyncio.sleep(QUIET)
    say(f"CPU of the API without events: {(cpu_seconds(part.pid) - used) / QUIET * 100:.1f}% of a core")
    used = cpu_seconds(part.pid)
    await loop.run_in_executor(None, settle_all, [owner for owner, _ in known], load, settled)
    spent = cpu_seconds(part.pid) - used
    await asyncio.sleep(2)
    expected = int(load.rate * load.seconds) * load.listeners // load.clients
    say(f"CPU of the API at {load.rate:g} per second: {spent / load.seconds * 100:.1f}% of a core")
    delays.sort()
    assert len(delays) == expected, f"{len(delays)} of {expected} events arrived"
    p50, p99, most = (1e3 * delays[round((len(delays) - 1) * share)] for share in (0.5, 0.99, 1))
    say(f"all {len(delays)} events arrived; delay p50 {p50:.0f} ms, p99 {p99:.0f} ms, max {most:.0f} ms")


def identity(listener: Listener) -> Listener:
    return listener


def say(line: str) -> None:
    print(line, flush=True)


def main(load: Load) -> None:
    with ExitStack() as undo:
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="lis")))
        folder.chmod(0o755)
        stack = undo.enter_context(Stack(folder))
        stack.fresh("streams")
        url = stack.postgres.url_of("streams")
        database.bind(read({"DATABASE_URL": url}))
        migrations.migrate()
        with database.connection():
            known = keys_of(load.clients)
        part, port = undo.enter_context(api(folder, url, stack.redis_url, load))
        wait_until(part.ready, "the API")
        uvloop.run(listen(port, known, load, part))


if __name__ == "__main__":
    main(Load(*(kind(given) for kind, given in zip((int, int, float, float), sys.argv[1:], strict=False))))
