"""The actors that Dramatiq calls for a message: one for each priority."""

from __future__ import annotations

from typing import Any

import dramatiq
from dramatiq.middleware import Middleware

import settings
from actors.delivery import Again, Delivery
from actors.queue.priorities import BY_QUEUE, Priority
from actors.retry_policy import RetryPolicy


class Narrow(Middleware):
    """Middleware that narrows a message to the ids that must be tried again, before Retries enqueues it."""

    def after_process_message(
        self, broker: Any, message: Any, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        if isinstance(exception, Again):
            message.args[0][:] = exception.ids


class _Process:
    """State that the worker process sets at boot."""

    delivery: Delivery | None = None


running = _Process()


def add_actors(broker: dramatiq.Broker, current: settings.Settings) -> None:
    """Give the broker an actor for each of its queues."""
    # "After" hooks run from the last middleware to the first, so this one comes before Retries.
    broker.add_middleware(Narrow())
    for queue in broker.get_declared_queues() & BY_QUEUE.keys():
        priority = BY_QUEUE[queue]
        _add_actor(broker, priority, RetryPolicy.of(priority.channel, current))


def _add_actor(broker: dramatiq.Broker, priority: Priority, policy: RetryPolicy) -> None:

    @dramatiq.actor(
        broker=broker,
        actor_name=priority.actor,
        queue_name=priority.queue,
        # The row counts the attempts; the same number here ends a message that outlives its rows.
        max_retries=policy.attempts - 1,
        min_backoff=int(policy.least * 1000),
        max_backoff=int(policy.most * 1000),
    )
    async def deliver(ids: list[int]) -> None:
        """Deliver the notifications `ids`. The message only wakes a worker; the rows hold the state."""
        if running.delivery is None:
            raise RuntimeError("this is no worker process")
        await running.delivery.deliver(ids, priority)
