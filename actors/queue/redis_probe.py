"""Check whether Redis can do what workers and the API need, on separate keys of the namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

import redis
from dramatiq.common import dq_name, xq_name
from dramatiq.message import Message

from actors.queue import redis_faults, redis_rights
from actors.queue.priorities import PRIORITIES
from actors.queue.redis_faults import Fault

if TYPE_CHECKING:
    from actors.queue.broker import NotificationBroker

QUEUE = "__probe__"
MESSAGE = "probe"


def fault(broker: NotificationBroker) -> Fault | None:
    """Return why nothing can be enqueued or fetched; None if everything works. Errors of Redis are not raised.

    It takes about 40 small commands, a few milliseconds in all. Concurrent probes do not disturb each other.
    """
    try:
        _use(broker)
        _read_all(broker)
        missing = redis_rights.missing(broker.client.connection_pool, broker.namespace)
    except redis.RedisError as error:
        found = redis_faults.of(error)
        return (_lacking(broker) or found) if found.rights else found
    return _told(missing)


def leave(broker: NotificationBroker) -> None:
    """Remove this process from Dramatiq's list of workers, to which the probe has added it.

    Call it in processes that consume nothing.

    Raises:
        redis.RedisError: Redis is not available.
    """
    broker.client.zrem(f"{broker.namespace}:__heartbeats__", broker.broker_id)


def _use(broker: NotificationBroker) -> None:
    """Enqueue as the API does, then wait, fetch and acknowledge as a worker does."""
    message: Message[None] = Message(QUEUE, MESSAGE, (), {}, {})
    broker.enqueue_all([message])
    queue = f"{broker.namespace}:{QUEUE}"
    broker.client.blmove(queue, queue, 0.01, "LEFT", "LEFT")  # type: ignore[arg-type]
    # The fetched message may be another process's: every probe enqueues one and acknowledges one.
    for data in broker.do_fetch(QUEUE, 1):
        if data is not None:
            broker.do_ack(QUEUE, Message.decode(data).options["redis_message_id"])


def _read_all(broker: NotificationBroker) -> None:
    """Read the length of each key that workers use. It fails if another program stores another type there."""
    with broker.client.pipeline(transaction=False) as pipe:
        pipe.zcard(f"{broker.namespace}:__heartbeats__")
        for priority in PRIORITIES.values():
            for name in (priority.queue, dq_name(priority.queue)):
                pipe.llen(f"{broker.namespace}:{name}")
                pipe.hlen(f"{broker.namespace}:{name}.msgs")
            pipe.zcard(f"{broker.namespace}:{xq_name(priority.queue)}")
            pipe.hlen(f"{broker.namespace}:{xq_name(priority.queue)}.msgs")
        pipe.execute()


def _lacking(broker: NotificationBroker) -> Fault | None:
    try:
        return _told(redis_rights.missing(broker.client.connection_pool, broker.namespace))
    except redis.RedisError:
        return None


def _told(missing: redis_rights.Missing) -> Fault | None:
    if missing.unknown:
        return redis_faults.unknown(", ".join(missing.unknown))
    said = []
    if missing.commands:
        said.append(f"may not run {', '.join(missing.commands)}")
    if missing.keys:
        said.append(f"may not use the keys {' '.join(missing.keys)}")
    return redis_faults.forbidden(" and ".join(said)) if said else None
