"""`python -m benchmarks.search`: measure the dashboard's search at 10^4 and 10^6 notifications, with --large at 10^7.

Write Markdown to stdout. Each search is requested several times over HTTP. The time includes the whole answer. Stderr
says how long upkeep needs to make the filters of subjects, and their size.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from benchmarks.pages import TIMES, milliseconds
from benchmarks.stack import Stack
from benchmarks.system import System
from benchmarks.target import ours
from db import database, subjects
from db.database import connection
from settings import Settings

SIZES = (10_000, 1_000_000)
LARGE = 10_000_000
AT_ONCE = 500_000  # rows per statement
# A recipient has five notifications. Six of ten are at one of 20 domains, the others at one of 5,000. Every tenth has a
# tag of its own and metadata, every second an equal tag, and every fourth a template. The oldest thousandth
# has subjects of its own.
ROWS = """
INSERT INTO notifications (type, recipient, subject, message, status, attempt_count, claim, created_at, finished_at,
                           failure_reason, next_attempt_at, dispatch_after, tags, metadata, template,
                           template_version)
SELECT 'email', 'user' || n % ({total} / 5) || '@' || CASE WHEN n % 10 < 6 THEN n % 20 ELSE n % 5000 END || '.example',
       CASE WHEN n <= {total} / 1000 THEN 'Invoice ' || n ELSE 'Your order ' || n || ' is on its way' END, 'Hello',
       CASE WHEN n % 100 = 0 THEN 'failed' ELSE 'sent' END, 1, 1, at, at + interval '1 second',
       CASE WHEN n = 100 THEN 'expired' WHEN n % 100 = 0 THEN 'rejected' END, NULL, NULL,
       CASE WHEN n % 10 = 0 THEN jsonb_build_array('order' || n, 'half') WHEN n % 2 = 0 THEN '["half"]' END,
       CASE WHEN n % 10 = 0 THEN jsonb_build_object('order', n::text) END,
       CASE WHEN n % 4 = 0 THEN 'receipt' WHEN n < 100 THEN 'rare' END,
       CASE WHEN n % 4 = 0 OR n < 100 THEN 1 END
FROM generate_series({first}, {last}) AS n,
     LATERAL (SELECT now() - interval '1 day' - ({total} - n) * interval '1 second') AS t (at)
"""
SEARCHES = {
    "a recipient": "user13@13.example",
    "how a recipient begins, of few": "user77",
    "how a recipient begins, of many": "user",
    "a domain, frequent": "@3.example",
    "a domain, rare": "@4999.example",
    "a domain that nobody has": "@none.example",
    "a tag, rare": "tag:order500",
    "a tag, frequent": "tag:half",
    "metadata": "order=500",
    "a failure reason, frequent": "rejected",
    "a failure reason, once, the oldest": "expired",
    "a template, frequent": "template:receipt",
    "a template, rare, the oldest": "template:rare",
    "words of a subject, frequent": "order way",
    "a word of one subject": "subject:{half}",
    "words of the oldest subjects": "subject:invoice",
    "words that no subject has": "no such words",
    "a word that is nowhere": "nowhere",
    "parts of words of a subject": "part:rder wa",
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--large", action="store_true", help=f"measure {LARGE:,} notifications too")
    arguments.add_argument("--stock", action="store_true", help="start the distribution's PostgreSQL and Redis")
    options = arguments.parse_args()
    sizes = (*SIZES, LARGE) if options.large else SIZES
    with tempfile.TemporaryDirectory(prefix="np-", dir="/tmp") as folder:
        Path(folder).chmod(0o711)  # PostgreSQL may run as another user.
        with Stack(Path(folder), stock=options.stock) as stack:
            measured = [dict(_measured(System(ours(threads=1), stack, f"search_{size}"), size)) for size in sizes]
    print("| search for | " + " | ".join(f"{size:,}: median, slowest ms" for size in sizes) + " |")
    print("|---|" + "---:|" * len(sizes))
    for name in SEARCHES:
        print(f"| {name} | " + " | ".join(figures[name] for figures in measured) + " |")


def _measured(system: System, count: int) -> Iterator[tuple[str, str]]:
    with system.prepared():
        _fill(system, count)
        with system.api():
            for name, typed in SEARCHES.items():
                url = f"{system.url}/notifications?q={quote(typed.format(half=count // 2))}"
                taken = [milliseconds(url) for _ in range(TIMES)]
                yield name, f"{statistics.median(taken):.1f}, {max(taken):.1f}"


def _fill(system: System, count: int) -> None:
    for first in range(1, count + 1, AT_ONCE):
        last = min(first + AT_ONCE - 1, count)
        system.stack.execute(system.database, ROWS.format(first=first, last=last, total=count))
    system.stack.execute(system.database, "VACUUM (FREEZE, ANALYZE) notifications")
    _make_filters(system, count)
    system.stack.checkpoint()


def _make_filters(system: System, count: int) -> None:
    """Make the filters of subjects, as upkeep does over time."""
    # Everything is committed, so nothing need be waited for.
    system.stack.execute(system.database, f"UPDATE subject_progress SET complete_id = {count}, drawn_at = now()")
    wal, began = system.stack.wal_bytes(), time.monotonic()
    # In a process of its own: `bind` limits how long any statement may take.
    making = multiprocessing.get_context("spawn").Process(target=_keep, args=(system.environ["DATABASE_URL"],))
    making.start()
    making.join()
    assert making.exitcode == 0
    [(size,)] = system.stack.execute(system.database, "SELECT pg_total_relation_size('subject_words')")
    seconds, written = time.monotonic() - began, system.stack.wal_bytes() - wal
    print(
        f"# {count:,}: filters of {size:,} bytes, {written:,.0f} of WAL, {seconds:.1f} s", file=sys.stderr, flush=True
    )


def _keep(url: str) -> None:
    database.bind(Settings().changed(DATABASE_URL=url).database)
    with connection():
        while subjects.keep():
            pass


if __name__ == "__main__":
    main()
