"""`python -m benchmarks.pages`: measure the pages of the dashboard with many old rows. Write Markdown to stdout.

Each page is requested several times over HTTP, one request after the other. The time includes the whole answer.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from benchmarks import old_rows
from benchmarks.stack import Stack
from benchmarks.system import System
from benchmarks.target import ours

PAGES: tuple[str, ...] = (
    "/",
    "/notifications",
    "/notifications?limit=200",
    "/notifications?status=failed",
    "/failures",
)
PAGES += ("/notifications?recipient=old7@example.com", "/notifications/{id}")
PAGES += ("/templates", "/suppressions", "/keys", "/clients")
TIMES = 9


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=10_000_000, metavar="N", help="old notifications (10,000,000)")
    count = arguments.parse_args().rows
    print(f"| page, with {count:,} old notifications | median ms | slowest ms |\n|---|---:|---:|")
    with tempfile.TemporaryDirectory(prefix="np-", dir="/tmp") as folder, Stack(Path(folder)) as stack:
        Path(folder).chmod(0o711)
        for page, taken in _measured(System(ours(threads=1), stack, "pages"), count):
            print(f"| `{page}` | {statistics.median(taken):.1f} | {max(taken):.1f} |", flush=True)


def _measured(system: System, count: int) -> Iterator[tuple[str, list[float]]]:
    with system.prepared():
        old_rows.insert(system.own_servers, system.database, count)
        with system.api():
            for page in PAGES:
                yield page, [milliseconds(system.url + page.format(id=count // 2)) for _ in range(TIMES)]


def milliseconds(url: str) -> float:
    """Return how long a request takes with its whole answer."""
    began = time.perf_counter()
    with urllib.request.urlopen(url) as answer:
        answer.read()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
