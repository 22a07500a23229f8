"""A view as lines for a terminal, and as a JSON document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from actors.queue.priorities import in_use
from api.http.answers import shown
from cli.operator import workers as worker_table
from cli.operator.queues import COLUMNS as QUEUE_COLUMNS
from cli.operator.queues import readable, row
from cli.terminal import moments, show
from cli.terminal.moments import span
from cli.top.sample import Sample, View

PLAIN, TITLE, HEADING, BAD = "plain", "title", "heading", "bad"
WORKERS = 8  # lines; a last one says how many more there are
FAILURES = {"id": "ID", "client": "CLIENT", "reason": "REASON", "ago": "AGE", "error": "ERROR"}


class Line(NamedTuple):
    """Line of text. `style` is PLAIN, TITLE, HEADING or BAD."""

    text: str
    style: str = PLAIN


def lines(view: View, hint: str = "") -> list[Line]:
    """Return the lines of a view, most urgent first, because a small window shows only the first ones."""
    sample = view.sample
    found = [Line(_title(sample, hint), TITLE)]
    if view.trouble:
        found.append(Line(show.plain(view.trouble), BAD))
    if sample is None:
        return found
    found.append(Line(_rates(view)))
    for part in (_troubles, _queues, _workers, _failures):
        found += part(sample)
    return found


def document(view: View) -> dict[str, Any]:
    """Return a view as a document for `--json`, with names in camelCase."""
    sample = view.sample
    if sample is None:
        return {"at": None, "trouble": view.trouble}
    now = sample.live_stats
    return {
        "at": datetime.fromtimestamp(now.at, UTC),
        "trouble": view.trouble or None,
        "perSecond": {name: round(rate, 3) for name, rate in view.rates.items()} or None,
        "inFlight": sample.in_flight.number,
        "priorities": _rows(sample),
        "workers": [shown(worker._asdict()) for worker in now.workers],
        "breakers": [shown(provider._asdict()) for provider in now.providers],
        "pauses": [shown(pause._asdict()) for pause in sample.paused],
        "failures": [shown(failure._asdict()) for failure in sample.failures],
    }


def _title(sample: Sample | None, hint: str) -> str:
    at = moments.readable(datetime.fromtimestamp(sample.live_stats.at, UTC)) if sample else "no answer yet"
    return "  ".join(filter(None, ("notify top", at, hint)))


def _rates(view: View) -> str:
    known = [f"{name} {rate:,.1f}/s" for name, rate in view.rates.items()] or ["rates come with the next update"]
    flying = view.sample.in_flight.number if view.sample else 0
    return "   ".join([*known, f"being sent {flying:,}"])


def _troubles(sample: Sample) -> Iterator[Line]:
    for provider in sample.live_stats.providers:
        if provider.opened_at is not None:
            probe = f"next try in {span(provider.probe_in or 0)}"
            yield Line(show.plain(f"BREAKER OPEN  {provider.name}, {probe}: {provider.reason}"), BAD)
    channels = [pause.name for pause in sample.paused if pause.kind == "channel"]
    if channels:
        yield Line(f"PAUSED  {', '.join(channels)}; to send again: notify resume --all", BAD)
    if clients := len(sample.paused) - len(channels):
        yield Line(f"Paused or disabled clients: {clients}")


def _queues(sample: Sample) -> Iterator[Line]:
    yield Line("")
    yield from _table(map(readable, _rows(sample)), QUEUE_COLUMNS)


def _rows(sample: Sample) -> list[dict[str, Any]]:
    return [
        row(priority, sample.live_stats.priorities.get(priority), sample.depths.get(priority))
        for priority in in_use(sample.live_stats.priorities, sample.depths)
    ]


def _workers(sample: Sample) -> Iterator[Line]:
    found = sample.live_stats.workers
    yield Line("")
    if not any(worker.alive for worker in found):
        yield Line("NO WORKER IS ALIVE; to start some: dramatiq actors -p 2 -t 8", BAD)
    if found:
        # Silent workers first, because they need attention.
        first = sorted(found, key=lambda worker: worker.alive)[:WORKERS]
        yield from _table(map(worker_table.readable, first), worker_table.COLUMNS)
    if len(found) > WORKERS:
        yield Line(f"and {len(found) - WORKERS} more: notify workers")


def _failures(sample: Sample) -> Iterator[Line]:
    if not sample.failures:
        return
    yield Line("")
    now = sample.live_stats.at
    rows = (
        {**failure._asdict(), "ago": span(max(0.0, now - failure.failed_at.timestamp()))} for failure in sample.failures
    )
    yield from _table(rows, FAILURES)


def _table(rows: Any, columns: Mapping[str, str]) -> Iterator[Line]:
    # The window cuts off what is too wide for it.
    heading, *rest = show.table(rows, columns, widest=500).splitlines()
    yield Line(heading, HEADING)
    for line in rest:
        yield Line(line)
