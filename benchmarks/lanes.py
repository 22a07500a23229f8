"""`python -m benchmarks.lanes`: what a backlog does to those who are not in it. Markdown to stdout.

From POST to the arrival at the mail server, ten notifications a second: with nothing else to do;
`high` while the same client's `bulk` lane is full; `normal` while another client's is.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks import report
from benchmarks.fault_scene import Ground, Scene, scene
from benchmarks.processes import wait_until
from tests import keys, servers

BACKLOG, BATCH = 30_000, 1_000
PROBES, RATE = 60, 10.0
REPLY_MS = 1.0  # of the mail server, for each of its answers: a backlog of half a minute
SETTINGS = {"auth": "required", "relay_grace": 10, "worker_timeout": 30}


@dataclass(frozen=True, slots=True)
class Poster:
    """Posts with one key over one connection."""

    connection: http.client.HTTPConnection
    key: str

    def post(self, path: str, document: object) -> None:
        """All must be accepted."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.key}"}
        self.connection.request("POST", path, json.dumps(document), headers)
        answer = self.connection.getresponse()
        answer.read()
        if answer.status != http.client.CREATED:
            raise RuntimeError(f"{path} was answered with {answer.status}")

    def fill(self, prefix: str, priority: str) -> None:
        """A backlog."""
        for start in range(0, BACKLOG, BATCH):
            items = [_notification(f"{prefix}{start + n}", priority) for n in range(BATCH)]
            self.post("/api/notifications/batch", {"items": items})

    def probe(self, at: Scene, prefix: str, priority: str) -> list[float]:
        """Milliseconds from POST to arrival, in order of length."""
        sent: dict[str, float] = {}
        begun = time.monotonic()
        for number in range(PROBES):
            time.sleep(max(0.0, begun + number / RATE - time.monotonic()))
            sent[f"{prefix}{number}@example.com"] = time.time()
            self.post("/api/notifications", _notification(f"{prefix}{number}", priority))
        wait_until(lambda: sent.keys() <= at.ground.sink.times().keys(), "the probes", 120)
        arrived = at.ground.sink.times()
        return sorted((arrived[recipient] - moment) * 1_000 for recipient, moment in sent.items())


def _notification(name: str, priority: str) -> dict[str, str]:
    return {"type": "email", "recipient": f"{name}@example.com", "message": "Hello", "priority": priority}


@contextmanager
def _posters(at: Scene) -> Iterator[tuple[Poster, Poster]]:
    """Of two clients."""
    ledger, port = at.system.ledger, at.system.port
    with ExitStack() as closing:
        posters = []
        for name in ("first", "second"):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            closing.callback(connection.close)
            posters.append(Poster(connection, str(keys.key(ledger, of=keys.client(ledger, name)))))
        yield posters[0], posters[1]


def _row(what: str, waits: list[float], left: int) -> str:
    p50, p95, p99 = (waits[len(waits) * p // 100] for p in (50, 95, 99))
    return f"| {what} | {p50:.1f} | {p95:.1f} | {p99:.1f} | {left:,} |"


def measure(at: Scene) -> Iterator[str]:
    """One line of the table after the other."""
    at.ground.sink.delay(REPLY_MS)
    at.work()
    with _posters(at) as (first, second):
        first.probe(at, "warm", "normal")
        yield _row("`normal`, nothing else to do", first.probe(at, "idle-normal", "normal"), _left(at))
        yield _row("`high`, nothing else to do", first.probe(at, "idle-high", "high"), _left(at))
        first.fill("bulk", "bulk")
        yield _row(f"`high`, {BACKLOG:,} in the client's own `bulk`", first.probe(at, "high", "high"), _left(at))
        at.finish()
        first.fill("crowd", "normal")
        yield _row(
            f"`normal`, {BACKLOG:,} in another client's `normal`", second.probe(at, "other", "normal"), _left(at)
        )


def _left(at: Scene) -> int:
    """How many of the backlog were still to be sent when the last probe had arrived."""
    return int(at.system.ledger.rows("SELECT count(*) FROM notifications WHERE status = 'pending'")[0][0])


def main() -> None:
    """Print the table."""
    print("| notification | p50 ms | p95 ms | p99 ms | backlog left |\n| --- | ---: | ---: | ---: | ---: |")
    with ExitStack() as lasting:
        ground = Ground(lasting.enter_context(servers.short_directory()), lasting)
        with scene(ground, "lanes", 0, scripted=False, **SETTINGS) as at:
            for line in measure(at):
                print(line, flush=True)
    print(
        f"\n{report.machine()}. 2 worker processes of 8 threads; {PROBES} probes, {RATE:g} a second; "
        f"the mail server takes {REPLY_MS:g} ms for each answer."
    )


if __name__ == "__main__":
    main()
