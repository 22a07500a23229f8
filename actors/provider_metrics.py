"""Measure how the providers of a worker process are used at this moment."""

from __future__ import annotations

from collections.abc import Iterable

from actors.provider_queue import ProviderQueue
from runtime import metrics


def measure(queues: Iterable[ProviderQueue]) -> None:
    """Set the gauges of each provider. Upkeep calls it in each round, from its own thread."""
    for queue in queues:
        if not queue.apart:
            metrics.provider_senders[queue.name].set(queue.senders)
            metrics.provider_waiting[queue.name].set(queue.waiting)
