"""`python -m benchmarks.retention --rows 10000000`: remove old rows under load.

Half of the rows fill a block that is dropped. The other half is in a block with a row that must stay, so its old rows
are deleted. At the same time another process accepts, claims and settles notifications at a steady rate, directly on
the database. Writes Markdown to stdout.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from benchmarks import report
from benchmarks.servers import RacePostgres
from db import blocks, database, lifecycle, migrations, retention
from db.database import connection, rows
from db.policy import Bounds, Policy, Step
from db.records import Attempt, Draft
from settings import Settings

OLD_GO = Policy(sent=86_400.0)
CHUNK = 250_000  # rows per statement
THREADS = 4
DRAFT = Draft("email", "someone@example.com", "Welcome", "Hello, and welcome. " * 10, None)
OLD = """
INSERT INTO notifications (id, type, recipient, subject, message, status, attempt_count, created_at, finished_at,
                           next_attempt_at, dispatch_after)
SELECT id, 'email', 'user' || mod(id, 100000) || '@example.com', 'Welcome', repeat('Hello, and welcome. ', 10), 'sent',
       1, now() - interval '100 days' + id * interval '0.1 seconds',
       now() - interval '100 days' + id * interval '0.1 seconds', NULL, NULL
FROM generate_series(%s, %s) AS id
"""
ATTEMPTS = """
INSERT INTO attempts (notification_id, number, outcome, worker, provider, started_at, finished_at, phase, reply_code)
SELECT id, 1, 'sent', '00000000-0000-0000-0000-000000000001', 'mail:25', now(), now(), 'content', 250
FROM generate_series(%s, %s) AS id
"""


class Phase(NamedTuple):
    """Duration in seconds, and the latencies of concurrent accepts in milliseconds."""

    name: str
    seconds: float
    latencies: list[float]

    @property
    def line(self) -> str:
        """Row of the table."""
        centiles = statistics.quantiles(self.latencies, n=100)
        figures = (centiles[49], centiles[98], max(self.latencies))
        worst = " | ".join(f"{figure:.1f}" for figure in figures)
        return f"| {self.name} | {self.seconds:,.1f} | {len(self.latencies):,} | {worst} |"


def main() -> int:
    """Return 0 if exactly the old rows were removed, else 1."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retention", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rate", type=float, default=200, help="notifications accepted and settled per second (200)")
    parser.add_argument("--seconds", type=float, default=20, help="duration of the load without retention (20)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nr-", dir="/tmp") as folder:
        Path(folder).chmod(0o711)  # PostgreSQL may run as another user.
        server = RacePostgres(Path(folder) / "data", Path(folder))
        server.start()
        try:
            return _measure(server, options)
        finally:
            server.stop()


def _measure(server: RacePostgres, options: argparse.Namespace) -> int:
    size = max(1_000_000, options.rows // 2)
    database.bind(Settings(database_url=server.url))
    migrations.migrate()
    with database.patiently(), connection():
        _fill(options.rows, size)
        before = _sizes()
        bounds = Bounds(size=size)
        phases = [_phase("load only", server.url, options.rate, lambda: time.sleep(options.seconds))]
        phases.append(
            _phase(
                "one block dropped",
                server.url,
                options.rate,
                lambda: _paced(retention.look_after_blocks(OLD_GO, bounds)),
            )
        )
        dropped = _sizes()
        phases.append(_phase("rows deleted", server.url, options.rate, lambda: _paced(retention.sweep(OLD_GO, bounds))))
        after = _sizes()
        [(left,)] = rows("SELECT count(*) FROM notifications WHERE id <= %s", options.rows)
    print(_report(options.rows, phases, (before, dropped, after)))
    return 0 if left == 1 else 1


def _fill(count: int, size: int) -> None:
    began = time.monotonic()
    for end in (size, 2 * size):
        rows("SELECT setval('notifications_id_seq', %s)", end - size + size // 8)
        assert blocks.grow(size, 1, 60) == (end, None, 0, 0)
    rows("SET synchronous_commit = off")
    half = count // 2
    for first, last in ((1, half), (size, size + half)):
        for low in range(first, last, CHUNK):
            high = min(low + CHUNK, last) - 1
            rows(OLD, low, high)
            rows(ATTEMPTS, low, high)
            print(f"# {high:,} of {count:,} rows, {time.monotonic() - began:,.0f} s", file=sys.stderr, flush=True)
    rows("SET synchronous_commit = on")
    rows("SELECT setval('notifications_id_seq', %s)", 2 * size)
    # This row must stay, so its block cannot be dropped.
    rows(
        "UPDATE notifications SET status = 'pending', finished_at = NULL, next_attempt_at = now() + interval '9 days',"
        " dispatch_after = now() + interval '9 days' WHERE id = %s",
        size + 1,
    )
    for table in blocks.TABLES:
        rows(f"VACUUM ANALYZE {table}")
    rows("CHECKPOINT")


def _paced(steps: Iterable[Step]) -> None:
    """Run the steps as a worker does: pause after each step for as long as it took."""
    began = time.monotonic()
    for step in steps:
        if step.what != "deleted":
            print(f"# {step}", file=sys.stderr, flush=True)
        time.sleep(time.monotonic() - began)
        began = time.monotonic()


def _phase(name: str, url: str, rate: float, work: Callable[[], None]) -> Phase:
    with _load(url, rate) as results:
        time.sleep(2)
        began = time.time()
        work()
        ended = time.time()
        time.sleep(0.5)
    print(f"# {name}: {ended - began:.2f} s", file=sys.stderr, flush=True)
    return Phase(name, ended - began, [ms for at, ms in results if began - 0.1 <= at <= ended + 0.1])


@contextmanager
def _load(url: str, rate: float) -> Iterator[list[tuple[float, float]]]:
    """Run the load in another process. After the block, the list has the start and milliseconds of each accept."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_accept_and_send, args=(url, rate, theirs))
    process.start()
    results: list[tuple[float, float]] = []
    try:
        ours.recv()
        yield results
        ours.send("end")
        results += ours.recv()
    finally:
        process.terminate()
        process.join()


def _accept_and_send(url: str, rate: float, parent: Connection) -> None:
    database.bind(Settings(database_url=url))
    ending, results = threading.Event(), list[tuple[float, float]]()
    threads = [threading.Thread(target=_steadily, args=(rate / THREADS, ending, results)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    parent.send("begun")
    parent.recv()
    ending.set()
    for thread in threads:
        thread.join()
    parent.send(results)


def _steadily(rate: float, ending: threading.Event, results: list[tuple[float, float]]) -> None:
    worker, due = uuid4(), time.monotonic()
    while not ending.wait(max(0.0, due - time.monotonic())):
        due += 1 / rate
        with connection():
            began = time.monotonic()
            [accepted] = lifecycle.accept([DRAFT], 3_600)
            results.append((time.time(), (time.monotonic() - began) * 1_000))
            now = time.monotonic()
            attempt = Attempt("sent", worker, "mail:25", now, now, "content", 250)
            held = lifecycle.claim([accepted.id], worker)
            lifecycle.settle([lifecycle.sent(claimed, attempt) for claimed in held], 10, now)
    database.database.close()


def _sizes() -> tuple[int, int]:
    """Return the bytes of all blocks of notifications and of attempts, including indexes."""
    found = rows(
        "SELECT sum(pg_total_relation_size(inhrelid))::bigint FROM pg_inherits"
        " WHERE inhparent IN ('notifications'::regclass, 'attempts'::regclass) GROUP BY inhparent ORDER BY inhparent"
    )
    return found[0][0], found[1][0]


def _report(count: int, phases: list[Phase], sizes: tuple[tuple[int, int], ...]) -> str:
    half = count // 2
    gigabytes = "; ".join(f"{n / 1e9:.2f} + {a / 1e9:.2f}" for n, a in sizes)
    return "\n".join(
        [
            "| phase | s | accepts | p50 ms | p99 ms | max ms |",
            "|---|---|---|---|---|---|",
            *(phase.line for phase in phases),
            "",
            f"{half:,} rows in the block; {half:,} deleted, at {half / phases[2].seconds:,.0f} per second.",
            f"notifications + attempts in GB, before; after the drop; after the deletion: {gigabytes}.",
            report.machine(),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
