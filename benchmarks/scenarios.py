"""What is measured, once each: accept, drain and latency. Figures by name; report.py says what they mean."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks import load
from benchmarks.openloop import OpenLoop
from benchmarks.processes import OverdueError, wait_until
from benchmarks.system import System
from benchmarks.wire import endpoint

Figures = dict[str, float]
WARM_UP = 2  # seconds
STALLED = 30  # seconds without a mail: what is missing will not come


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much of each. Seconds, and milliseconds where the name says so."""

    connections: tuple[int, ...] = (16, 64)
    accept_seconds: int = 5
    backlog: int = 20_000
    smtp_ms: tuple[float, ...] = (0, 20)
    rate: float = 100
    latency_seconds: int = 10


def measure(system: System, plan: Plan) -> Figures:
    """Everything once, each part from an empty database."""
    figures: Figures = {}
    if plan.latency_seconds or plan.connections:
        figures |= _latency_and_accept(system, plan)
    for smtp_ms in plan.smtp_ms:
        figures |= _drain(system, plan.backlog, smtp_ms)
    return figures


def _latency_and_accept(system: System, plan: Plan) -> Figures:
    figures: Figures = {}
    with system.prepared(), system.api():
        with system.workers():
            _wait_for_first_mail(system)
            figures |= _memory(system, "idle")
            if plan.latency_seconds:
                figures |= _latency(system, plan.rate, plan.latency_seconds)
        if plan.connections:
            load.for_seconds(system.url, 16, WARM_UP, "warm-")
        for connections in plan.connections:
            figures |= _accept(system, connections, plan.accept_seconds)
        figures |= _memory(system, "loaded")
    return figures


def _accept(system: System, connections: int, seconds: int) -> Figures:
    key = f"accept {connections}"
    with _cpu(system) as spent:
        done = load.for_seconds(system.url, connections, seconds, f"a{connections}-")
    figures = {"rate": done.rate, "p50": done.p50, "p95": done.p95, "p99": done.p99, "errors": done.errors}
    return _named(key, figures | _each(spent, done.answers))


def _latency(system: System, rate: float, seconds: int) -> Figures:
    generator = OpenLoop(endpoint(system.url))
    try:
        warm = generator.run(rate, int(rate * WARM_UP), "warm-")
        _all_arrived(system, len(warm) + 1)
        system.mailbox.reset()
        due = generator.run(rate, int(rate * seconds), "l-")
        _all_arrived(system, len(due))
        arrived = system.mailbox.times()
    finally:
        generator.close()
    waits = sorted((arrived[r] - moment) * 1_000 for r, moment in due.items() if r in arrived)
    figures = {f"p{p}": waits[len(waits) * p // 100] for p in (50, 95, 99)} if waits else {}
    return _named("latency", figures | {"errors": generator.errors, "missing": len(due) - len(waits)})


def _drain(system: System, backlog: int, smtp_ms: float) -> Figures:
    with system.prepared(), system.api():
        filled = load.exactly(system.url, 64, backlog, "d-")
        system.after_fill()
        system.mailbox.reset()
        system.mailbox.delay(smtp_ms)
        begun = time.time()
        with system.workers():
            _wait_for_mails(system, 1)
            # From the first mail on: the start of a process is not the cost of a mail.
            early = system.mailbox.count().mails
            with _cpu(system) as spent:
                _wait_for_mails(system, backlog)
            figures = _memory(system, "draining")
        # Workers are gone: what has not come by now never does, and a second copy has had its time.
        system.mailbox.delay()
        came = system.mailbox.count()
    figures |= {
        "rate": (came.recipients - 1) / max(came.last - came.first, 1e-9),
        "seconds": came.last - begun,
        "errors": filled.errors,
        "missing": backlog - came.recipients,
        "twice": came.mails - came.recipients,
    }
    return _named(f"drain {smtp_ms:g}", figures | _each(spent, backlog - early))


def _wait_for_first_mail(system: System) -> None:
    system.mailbox.reset()
    load.exactly(system.url, 1, 1, "first-")
    wait_until(lambda: system.mailbox.count().mails > 0, f"the first mail of {system.name}")
    time.sleep(1)  # Idle means idle: what a start leaves behind is done by then.


def _all_arrived(system: System, recipients: int) -> None:
    try:
        wait_until(lambda: system.mailbox.count().recipients >= recipients, f"{recipients} mails", 10)
    except OverdueError as missing:
        print(f"# {system.name}: {missing}", file=sys.stderr, flush=True)


def _wait_for_mails(system: System, backlog: int) -> None:
    seen, moved = 0, time.monotonic()
    while seen < backlog and time.monotonic() - moved < STALLED:
        time.sleep(0.02)
        count = system.mailbox.count().recipients
        if count != seen:
            seen, moved = count, time.monotonic()


@contextmanager
def _cpu(system: System) -> Iterator[Figures]:
    """CPU seconds of each part of the system while the block runs, filled in at its end."""
    spent: Figures = {}
    before, begun = system.cpu(), time.monotonic()
    yield spent
    spent |= {part: seconds - before[part] for part, seconds in system.cpu().items()}
    spent["others %"] = spent.pop("others") / (time.monotonic() - begun) / (os.cpu_count() or 1) * 100


def _each(spent: Figures, count: int) -> Figures:
    others = {"others": spent.pop("others %")}
    return {f"cpu {part}": seconds / max(count, 1) * 1e6 for part, seconds in spent.items()} | others


def _memory(system: System, when: str) -> Figures:
    return {f"memory {when} {part}": mb for part, mb in system.memory().items()}


def _named(key: str, figures: Figures) -> Figures:
    return {name if name.startswith("memory") else f"{key} {name}": value for name, value in figures.items()}


def medians(rounds: list[Figures]) -> Figures:
    """The median of each figure over the rounds that have it; faults are summed, never averaged away."""
    names = dict.fromkeys(name for figures in rounds for name in figures)
    combined = {}
    for name in names:
        values = [figures[name] for figures in rounds if name in figures]
        is_fault = name.rpartition(" ")[2] in ("errors", "missing", "twice")
        combined[name] = sum(values) if is_fault else statistics.median(values)
    return combined
