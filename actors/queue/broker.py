"""The Redis broker and its middleware. Importing this module makes no broker and opens no connection."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any
from uuid import uuid4

import redis
from dramatiq import MessageProxy
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import dq_name
from dramatiq.errors import ConnectionClosed
from dramatiq.message import Message
from dramatiq.middleware import CurrentMessage, Middleware, Retries

import settings
from actors.channels import registry
from actors.queue import namespace, redis_pools
from actors.queue.consumer import WaitingConsumer
from actors.queue.event_loop import Uvloop
from actors.queue.priorities import PRIORITIES, Depth
from db.clock import clock
from db.models import CALLBACK
from settings.redis import WAIT

# How many of a million commands also requeue what dead workers had fetched. Delivery does not depend on it, because
# the relay enqueues due rows again; it only removes leftovers from Redis.
MAINTENANCE_CHANCE = 50_000


class NotificationBroker(RedisBroker):
    """Broker that only wakes workers up: Redis may lose, repeat or delay any message without harm.

    It stores exactly what `RedisBroker` stores, so every Dramatiq tool can read it.
    """

    client: redis.Redis

    def __init__(
        self,
        pool: redis.ConnectionPool,
        *,
        find_namespace: Callable[[], str],
        wait: float,
        heartbeat_timeout: float,
        middleware: list[Middleware],
    ) -> None:
        """`find_namespace` is called before the first command, because it needs the database."""
        self._namespace: str | None = None
        self._find_namespace = find_namespace
        super().__init__(  # type: ignore[no-untyped-call]
            client=redis.Redis(connection_pool=pool),
            namespace=None,
            middleware=middleware,
            maintenance_chance=MAINTENANCE_CHANCE,
            heartbeat_timeout=int(heartbeat_timeout * 1000),
        )
        # Seconds for which a consumer waits in Redis: it notices a stop and renews its heartbeat only afterwards.
        self.wait = wait
        self._in_hand: defaultdict[str, dict[str, float]] = defaultdict(dict)

    @property
    def namespace(self) -> str:
        """Prefix of every key in Redis.

        Raises:
            NamespaceUnknown: A redis.ConnectionError. The database, which knows the prefix, is not available.
        """
        if self._namespace is None:
            self._namespace = self._find_namespace()
        return self._namespace

    @namespace.setter
    def namespace(self, value: str | None) -> None:
        self._namespace = value

    @property
    def consumer_class(self) -> type[WaitingConsumer]:
        return WaitingConsumer

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Any:
        """Return a consumer. First, requeue the messages that an earlier consumer of this process fetched and lost."""
        consumer = super().consume(queue_name, prefetch, timeout)
        if queue_name in self.delay_queues:  # Delayed messages in memory were dropped with the connection.
            self.in_hand(queue_name).clear()
        try:
            acks = f"{self.namespace}:__acks__.{self.broker_id}.{queue_name}"
            fetched = {id.decode() for id in self.client.smembers(acks)}  # type: ignore[union-attr]
            if stranded := fetched - self.in_hand(queue_name).keys():
                self.do_requeue(queue_name, *stranded)
        except redis.RedisError as error:
            raise ConnectionClosed(error) from None
        return consumer

    def in_hand(self, queue_name: str) -> dict[str, float]:
        """Return the Redis ids of the messages that this process has fetched and not yet acknowledged.

        The value is the time at which the message was enqueued (database's clock), or infinity once it was begun.
        """
        return self._in_hand[queue_name]

    def begin(self, message: MessageProxy) -> None:
        """Record that a fetched message no longer waits for a thread."""
        self.in_hand(message.queue_name)[message.options["redis_message_id"]] = math.inf

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """Enqueue a message as Dramatiq does. One without delay, or whose delay is over, gets the current time."""
        if delay is None:
            message = message.copy(options=_enqueued_now())
        return super().enqueue(message, delay=delay)

    def enqueue_all(self, messages: Sequence[Message[Any]], at: float | None = None) -> dict[str, Depth]:
        """Enqueue all messages in one transaction, and return the depths of their queues after it.

        `at`: the time of enqueueing that the rows hold (database's clock); default: now.

        Raises:
            redis.RedisError: Either all messages were enqueued or none; which one is unknown.
        """
        dated = _enqueued_now() if at is None else {"rung_at": int(at * 1000)}
        stamped = [m.copy(options={"redis_message_id": str(uuid4()), **dated}) for m in messages]
        by_queue: defaultdict[str, dict[str, bytes]] = defaultdict(dict)
        for message in stamped:
            by_queue[message.queue_name][message.options["redis_message_id"]] = message.encode()
        with self.client.pipeline(transaction=True) as pipe:
            for queue, encoded in by_queue.items():
                pipe.hset(f"{self.namespace}:{queue}.msgs", mapping=encoded)  # type: ignore[arg-type]
                pipe.rpush(f"{self.namespace}:{queue}", *encoded)
                pipe.hlen(f"{self.namespace}:{queue}.msgs")
            answers = pipe.execute()
            return dict(zip(by_queue, map(Depth, answers[1::3], answers[2::3]), strict=True))

    def depths(self) -> dict[str, Depth]:
        """Return the depth of the queue of each priority."""
        with self.client.pipeline(transaction=False) as pipe:
            for priority in PRIORITIES.values():
                pipe.llen(f"{self.namespace}:{priority.queue}")
                pipe.hlen(f"{self.namespace}:{priority.queue}.msgs")
            answers = pipe.execute()
            return dict(zip(PRIORITIES, map(Depth, answers[::2], answers[1::2]), strict=True))

    def oldest_message(self, queue_name: str) -> float:
        """Return the age in seconds of the message at the head of a queue; 0 if the queue is empty."""
        queue = f"{self.namespace}:{queue_name}"
        head = self.client.lindex(queue, 0)
        data = self.client.hget(f"{queue}.msgs", head) if head else None
        if not data:
            return 0.0
        return max(0.0, clock.now() - self.enqueued_at(Message.decode(data)))  # type: ignore[arg-type]

    @staticmethod
    def enqueued_at(message: Message[Any]) -> float:
        """Return when the message was enqueued, or its delay ended, in seconds since 1970 on the database's clock."""
        return float(message.options.get("rung_at", message.message_timestamp)) / 1000

    def oldest_in_hand(self) -> dict[str, float]:
        """Return for each priority the enqueue time of the oldest message that is fetched but not begun."""
        oldest = {
            name: min([*self.in_hand(priority.queue).values(), math.inf]) for name, priority in PRIORITIES.items()
        }
        return {name: at for name, at in oldest.items() if at < math.inf}

    def wait_for_message(self, queue_name: str) -> None:
        """Block until the queue is not empty, at most WAIT seconds. Needs Redis 6.2."""
        if queue_name == dq_name(queue_name):
            time.sleep(self.wait / 2)  # Delayed messages are not urgent.
            return
        queue = f"{self.namespace}:{queue_name}"
        # Moving the head onto itself blocks while the list is empty and does not change it.
        self.client.blmove(queue, queue, self.wait, "LEFT", "LEFT")  # type: ignore[arg-type]


def _enqueued_now() -> dict[str, int]:
    return {"rung_at": int(clock.now() * 1000)}


class Begun(Middleware):
    """Middleware that tells the broker when a thread begins a message."""

    def before_process_message(self, broker: Any, message: Any) -> None:
        broker.begin(message)


def connect(current: settings.Settings) -> NotificationBroker:
    """Return a broker for these settings, with the queues of the channels that it can deliver, without connecting."""
    broker = NotificationBroker(
        redis_pools.pool(current.redis, current.redis.timeout),
        find_namespace=partial(namespace.needed, current.redis),
        wait=WAIT,
        heartbeat_timeout=max(current.delivery.worker_timeout, 5 * current.delivery.upkeep_interval),
        # No TimeLimit: it could interrupt between the mail server's 250 and its record, and every wait in a send has a
        # time-out of its own. No AgeLimit: the row holds the time after which a notification is too late.
        middleware=[Begun(), CurrentMessage(), Retries(), Uvloop()],
    )
    for priority in PRIORITIES.values():
        if priority.channel == CALLBACK or priority.channel in registry.served(current):
            broker.declare_queue(priority.queue)
    return broker


@cache
def get_broker() -> NotificationBroker:
    """Return the broker of this process. The first call creates it.

    Raises:
        SettingsError: REDIS_URL is not set, or a setting is wrong.
    """
    current = settings.load()
    current.redis.require()
    return connect(current)
