"""Channels: drain a backlog of text messages or push messages through an HTTP provider. Our system only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from urllib.parse import urlsplit

from benchmarks.channels import CHANNELS, fill, sink
from benchmarks.figures import Figures, named
from benchmarks.mailbox import MailboxClient
from benchmarks.meter import each, metered
from benchmarks.plan import Plan
from benchmarks.processes import wait_until
from benchmarks.rows import Row, costs, fault_rows, saturated
from benchmarks.system import System

EARLY = 500  # messages before the measurement begins: the workers have started, and their connections are open
STALLED = 60.0  # seconds


def measure(system: System, plan: Plan, *, name: str) -> Figures:
    """Measure a drain with the default number of connections to a provider that answers after `provider_ms`."""
    if not system.target.ours:
        return {}
    channel, count = CHANNELS[name], plan.channel_backlog
    with ExitStack() as stack:
        at = stack.enter_context(sink(system.stack.folder))
        account = channel.environment(at.url, system.stack.folder)
        stack.enter_context(system.told(**account))
        stack.enter_context(system.prepared())
        stack.enter_context(system.api())
        fill(urlsplit(system.url).port or 0, channel, count)
        system.after_fill()
        at.mailbox.delay(plan.provider_ms)
        system.parts["sink"] = at.part
        stack.callback(system.parts.pop, "sink")
        with system.workers():
            _arrived(at.mailbox, EARLY)
            early = at.mailbox.count()
            with metered(system) as spent:
                _arrived(at.mailbox, count)
        came = at.mailbox.count()
    figures = {
        "rate": (came.recipients - early.recipients) / max(came.last - early.last, 1e-9),
        "smtp ms": plan.provider_ms,
        "missing": count - came.recipients,
        "twice": came.mails - came.recipients,
    }
    return named(name, figures | each(spent, count - early.mails))


def _arrived(mailbox: MailboxClient, count: int) -> None:
    wait_until(lambda: mailbox.count().recipients >= count, f"{count} messages", STALLED)


def rows(plan: Plan, *, name: str) -> Iterator[Row]:
    """Yield the rows of a channel."""
    label = f"{name}: drain of {plan.channel_backlog:,}, provider {plan.provider_ms:g} ms"
    yield Row(f"{label}: per second", f"{name} rate", compared=False)
    yield from costs(label, name, "workers", "postgresql", "redis")
    yield from saturated(label, name)
    yield from fault_rows(label, name)


def scenario(name: str) -> tuple[Callable[[System, Plan], Figures], Callable[[Plan], Iterator[Row]]]:
    """Return the two functions of a scenario for a channel."""
    return partial(measure, name=name), partial(rows, name=name)
