"""The figures as Markdown: one table, a column for each system, and a ratio where there are two."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.scenarios import Figures, Plan

Row = tuple[str, str]  # label, figure
PERCENTILES = ("p50", "p95", "p99")


def rows(plan: Plan) -> Iterator[Row]:
    """Every row of the table, in order."""
    for n in plan.connections:
        yield f"accept, {n} connections: per second", f"accept {n} rate"
        yield from ((f"accept, {n}: {p} ms", f"accept {n} {p}") for p in PERCENTILES)
        yield from _cpu(f"accept, {n}", f"accept {n}", "api", "postgresql", "redis")
    if plan.latency_seconds:
        yield from ((f"POST to mail, {plan.rate:g}/s: {p} ms", f"latency {p}") for p in PERCENTILES)
    for ms in plan.smtp_ms:
        label = f"drain of {plan.backlog:,}" + (f", SMTP {ms:g} ms" if ms else "")
        yield f"{label}: per second", f"drain {ms:g} rate"
        yield f"{label}: s from worker start", f"drain {ms:g} seconds"
        yield from _cpu(label, f"drain {ms:g}", "workers", "postgresql", "redis")
    yield from _memory(plan)
    timed = [f"accept {n}" for n in plan.connections] + [f"drain {ms:g}" for ms in plan.smtp_ms]
    yield from ((f"{key}: % of the machine taken by strangers", f"{key} others") for key in timed)
    yield from _faults(plan)


def _cpu(label: str, key: str, *parts: str) -> Iterator[Row]:
    yield from ((f"{label}: µs CPU each, {part}", f"{key} cpu {part}") for part in parts)


def _memory(plan: Plan) -> Iterator[Row]:
    moments = [("idle", "api"), ("idle", "workers")] if plan.connections or plan.latency_seconds else []
    moments += [("loaded", "api")] if plan.connections else []
    moments += [("draining", "workers")] if plan.smtp_ms else []
    for when, part in moments:
        yield f"memory {when}, {part}: MB PSS", f"memory {when} {part}"
        yield f"memory {when}, {part}: processes", f"memory {when} {part} processes"


def _faults(plan: Plan) -> Iterator[Row]:
    loads = [f"accept {n}" for n in plan.connections] + ["latency"] * bool(plan.latency_seconds)
    drains = [f"drain {ms:g}" for ms in plan.smtp_ms]
    yield from ((f"{key}: answers not 201", f"{key} errors") for key in loads + drains)
    yield from ((f"{key}: mails missing", f"{key} missing") for key in ["latency", *drains])
    yield from ((f"{key}: mails twice", f"{key} twice") for key in drains)


def table(measured: Mapping[str, Figures], plan: Plan) -> str:
    """The Markdown table; a figure nobody has is left out."""
    names = list(measured)
    ratio = ["ratio"] if len(names) == 2 else []
    lines = [["measured", *names, *ratio]]
    lines.append(["---", *["---:" for _ in (*names, *ratio)]])
    for label, key in rows(plan):
        values = [figures.get(key) for figures in measured.values()]
        if any(value is not None for value in values):
            lines.append([label, *map(_number, values), *(_ratio(label, values) for _ in ratio)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def faults(figures: Figures) -> float:
    """How many answers were wrong and mails lost or doubled."""
    return sum(v for k, v in figures.items() if k.rpartition(" ")[2] in ("errors", "missing", "twice"))


def machine() -> str:
    """Where and when."""
    cpu = next((line for line in _lines("/proc/cpuinfo") if line.startswith("model name")), ":unknown CPU")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {cpu.partition(':')[2].strip()}, {os.cpu_count()} cores, "
        f"{memory:.0f} GB, Linux {platform.release()}, Python {platform.python_version()}"
    )


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    digits = 0 if value >= 100 or value == int(value) else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}"


def _ratio(label: str, values: list[float | None]) -> str:
    ours, other = values
    comparable = not label.endswith(("processes", "strangers"))
    return f"{ours / other:.2f}" if comparable and ours is not None and other else ""
