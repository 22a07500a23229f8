"""`python -m benchmarks.priorities`: measure the delay of notifications that are not part of a backlog.

The delay is measured from POST to the arrival at the mail server, with ten notifications per second: without other
load; `high` during a backlog of the same client's `bulk`; `normal` during a backlog of another client's `normal`.
Writes Markdown to stdout, or JSON with --json.
"""

from __future__ import annotations

import argparse
import http.client
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks import report
from benchmarks.fault_scene import Ground, Scene, scene
from benchmarks.figures import PERCENTILES, Figures, percentiles
from benchmarks.processes import wait_until
from tests import embedded, keys

BACKLOG, BATCH = 30_000, 1_000
PROBES, RATE = 60, 10.0
REPLY_MS = 1.0  # milliseconds per answer of the mail server, so that the backlog takes half a minute
SETTINGS = {"auth": "required", "relay_grace": 10, "worker_timeout": 30}


@dataclass(frozen=True, slots=True)
class Poster:
    """Client with one key and one connection."""

    connection: http.client.HTTPConnection
    key: str

    def post(self, path: str, document: object) -> None:
        """POST a document. Raise RuntimeError unless it is accepted."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.key}"}
        self.connection.request("POST", path, json.dumps(document), headers)
        answer = self.connection.getresponse()
        answer.read()
        if answer.status != http.client.CREATED:
            raise RuntimeError(f"{path} was answered with {answer.status}")

    def fill(self, prefix: str, priority: str, backlog: int) -> None:
        """POST a backlog in batches."""
        for start in range(0, backlog, BATCH):
            items = [_notification(f"{prefix}{n}", priority) for n in range(start, min(start + BATCH, backlog))]
            self.post("/api/notifications/batch", {"items": items})

    def probe(self, at: Scene, prefix: str, priority: str) -> list[float]:
        """POST the probes, and return the milliseconds from POST to arrival."""
        sent: dict[str, float] = {}
        begun = time.monotonic()
        for number in range(PROBES):
            time.sleep(max(0.0, begun + number / RATE - time.monotonic()))
            sent[f"{prefix}{number}@example.com"] = time.time()
            self.post("/api/notifications", _notification(f"{prefix}{number}", priority))
        wait_until(lambda: sent.keys() <= at.ground.sink.times().keys(), "the probes", 120)
        arrived = at.ground.sink.times()
        return [(arrived[recipient] - moment) * 1_000 for recipient, moment in sent.items()]


def _notification(name: str, priority: str) -> dict[str, str]:
    return {"type": "email", "recipient": f"{name}@example.com", "message": "Hello", "priority": priority}


@contextmanager
def _posters(at: Scene) -> Iterator[tuple[Poster, Poster]]:
    """Yield the posters of two clients."""
    sql, port = at.system.sql, at.system.port
    with ExitStack() as closing:
        posters = []
        for name in ("first", "second"):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            closing.callback(connection.close)
            posters.append(Poster(connection, str(keys.key(sql, of=keys.client(sql, name)))))
        yield posters[0], posters[1]


class Probed(NamedTuple):
    """Result of one line: percentiles of the delay in milliseconds, and the notifications left of the backlog."""

    key: str
    label: str
    figures: Figures


def _probed(at: Scene, poster: Poster, key: str, label: str, priority: str) -> Probed:
    return Probed(key, label, percentiles(poster.probe(at, f"{key}-", priority)) | {"left": _left(at)})


def measure(at: Scene, backlog: int) -> Iterator[Probed]:
    """Yield the lines of the table."""
    at.ground.sink.delay(REPLY_MS)
    at.work()
    with _posters(at) as (first, second):
        first.probe(at, "warm", "normal")
        yield _probed(at, first, "normal", "`normal`, no other load", "normal")
        yield _probed(at, first, "high", "`high`, no other load", "high")
        first.fill("bulk", "bulk", backlog)
        yield _probed(at, first, "high-beside", f"`high`, {backlog:,} in the client's own `bulk`", "high")
        at.finish()
        first.fill("crowd", "normal", backlog)
        yield _probed(at, second, "normal-beside", f"`normal`, {backlog:,} in another client's `normal`", "normal")


def _left(at: Scene) -> int:
    """Return the number of notifications that are still to be sent."""
    return int(at.system.sql.rows("SELECT count(*) FROM notifications WHERE status = 'pending'")[0][0])


def _rows(backlog: int) -> Iterator[Probed]:
    with ExitStack() as lasting:
        ground = Ground(lasting.enter_context(embedded.short_directory()), lasting)
        with scene(ground, "priorities", 0, scripted=False, channel="", **SETTINGS) as at:
            yield from measure(at, backlog)


def _print_table(backlog: int) -> None:
    print("| notification | p50 ms | p95 ms | p99 ms | backlog left |\n| --- | ---: | ---: | ---: | ---: |")
    for _, label, found in _rows(backlog):
        waits = " | ".join(f"{found[p]:.1f}" for p in PERCENTILES)
        print(f"| {label} | {waits} | {found['left']:,.0f} |", flush=True)
    print(
        f"\n{report.machine()}. 2 worker processes of 8 threads; {PROBES} probes, {RATE:g} per second; "
        f"the mail server takes {REPLY_MS:g} ms for each answer."
    )


def main() -> None:
    """Print the table, or the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.priorities", description=__doc__)
    parser.add_argument("--backlog", type=int, default=BACKLOG)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.json:
        print(json.dumps({key: figures for key, _, figures in _rows(options.backlog)}))
    else:
        _print_table(options.backlog)


if __name__ == "__main__":
    main()
