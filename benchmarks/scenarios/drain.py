"""Drain: post a backlog while no worker runs, then start the workers."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks import arrivals, load
from benchmarks.figures import Figures, named
from benchmarks.meter import each, memory, metered
from benchmarks.plan import Plan
from benchmarks.rows import Row, costs, fault_rows, memory_rows, saturated
from benchmarks.system import System
from benchmarks.target import WORKERS

FILLING = 64  # connections


def measure(system: System, plan: Plan) -> Figures:
    """Measure a drain for each latency of the mail server."""
    figures: Figures = {}
    for smtp_ms in plan.smtp_ms:
        with system.prepared(), system.api():
            figures |= drained(system, f"drain {smtp_ms:g}", plan.backlog, smtp_ms=smtp_ms)
    return figures


def drained(
    system: System, key: str, backlog: int, *, smtp_ms: float = 0, refused: float = 0, processes: int = WORKERS
) -> Figures:
    """Post the backlog, start the workers, wait for all mails, and stop the workers.

    `refused`: the share of the recipients that the mail server defers once. The figures of memory have no prefix.
    """
    filled = load.exactly(system.url, FILLING, backlog, "d-")
    system.after_fill()
    system.mailbox.reset()
    system.mailbox.delay(smtp_ms)
    system.mailbox.defer(refused)
    begun, committed = time.time(), system.stack.transactions(system.database)
    with system.workers(processes):
        arrivals.wait_for_drain(system, 1)
        # Measure from the first mail on: starting a process is not part of the cost of a mail.
        early = system.mailbox.count().mails
        with metered(system) as spent:
            arrivals.wait_for_drain(system, backlog)
        held = memory(system, "draining")
    # The workers have stopped: no further mails and no duplicates can arrive.
    system.mailbox.delay()
    system.mailbox.defer(0)
    came = system.mailbox.count()
    figures = {
        "rate": (came.recipients - 1) / max(came.last - came.first, 1e-9),
        "seconds": came.last - begun,
        "commits": (system.stack.transactions(system.database) - committed) / backlog,
        "smtp ms": smtp_ms,
        "errors": filled.errors,
        "missing": backlog - came.recipients,
        "twice": came.mails - came.recipients,
    }
    return named(key, figures | each(spent, backlog - early)) | held


def lines(label: str, key: str) -> Iterator[Row]:
    """Yield the rows for the figures of `drained`."""
    yield Row(f"{label}: per second", f"{key} rate")
    yield Row(f"{label}: s from worker start", f"{key} seconds")
    yield from costs(label, key, "workers", "postgresql", "redis")
    yield Row(f"{label}: transactions each", f"{key} commits")
    yield from saturated(label, key)
    yield from fault_rows(label, key)


def rows(plan: Plan) -> Iterator[Row]:
    """Yield rows for each latency, and for the workers' memory during a drain."""
    for smtp_ms in plan.smtp_ms:
        yield from lines(f"drain of {plan.backlog:,}" + f", SMTP {smtp_ms:g} ms" * (smtp_ms > 0), f"drain {smtp_ms:g}")
    yield from memory_rows("draining", "workers")
