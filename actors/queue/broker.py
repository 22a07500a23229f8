"""The Redis broker and its middleware. Nothing is made or connected at import."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, NamedTuple
from uuid import uuid4

import redis
from dramatiq import MessageProxy
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import dq_name
from dramatiq.errors import ConnectionClosed
from dramatiq.message import Message
from dramatiq.middleware import Middleware, Retries

import settings
from actors.queue import namespace, redis_pools
from actors.queue.consumer import WaitingConsumer
from actors.queue.event_loop import Uvloop
from actors.queue.priorities import LANES
from db.clock import clock

# In a million commands: how often a worker looks for what a dead one had fetched. The relay is the
# one that makes sure; this keeps Redis tidy.
MAINTENANCE_CHANCE = 50_000


class Depth(NamedTuple):
    """How many messages wait in a queue, and how many there are with those in workers' hands."""

    waiting: int = 0
    unfinished: int = 0


class Doorbell(RedisBroker):
    """Redis as a doorbell: it may lose, repeat or delay any message, and no notification is lost or doubled.

    What goes into Redis is exactly what `RedisBroker` puts there, so any Dramatiq tool can read it.
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
        """`find_namespace` is asked before the first command, because nothing may connect at import."""
        self._namespace: str | None = None
        self._find_namespace = find_namespace
        super().__init__(  # type: ignore[no-untyped-call]
            client=redis.Redis(connection_pool=pool),
            namespace=None,
            middleware=middleware,
            maintenance_chance=MAINTENANCE_CHANCE,
            heartbeat_timeout=int(heartbeat_timeout * 1000),
        )
        # A consumer that waits notices a stop after this, and its heartbeat in Redis is as fresh.
        self.wait = wait
        self._in_hand: defaultdict[str, dict[str, float]] = defaultdict(dict)

    @property
    def namespace(self) -> str:
        """How every key begins.

        Raises:
            NamespaceUnknown: a redis.ConnectionError; the database that knows it cannot be asked.
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
        """A consumer; first, what an earlier one of this process fetched and then lost is put back."""
        consumer = super().consume(queue_name, prefetch, timeout)
        if queue_name in self.delay_queues:  # What waited in memory was dropped with the connection.
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
        """Ids in Redis of the messages that this process has taken and not yet acknowledged.

        With the time on the database's clock at which each was rung, or infinity once it was begun.
        """
        return self._in_hand[queue_name]

    def begin(self, message: MessageProxy) -> None:
        """The message is no longer waiting."""
        self.in_hand(message.queue_name)[message.options["redis_message_id"]] = math.inf

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """As Dramatiq does it; a message that comes without delay, also at the end of one, is rung now."""
        if delay is None:
            message = message.copy(options=_rung_now())
        return super().enqueue(message, delay=delay)

    def ring(self, messages: Sequence[Message[Any]], at: float | None = None) -> dict[str, Depth]:
        """Enqueue all of these at once, in one round trip; returns how deep each of their queues is then.

        `at` is the database's time at which their rows say that they were rung; absent, it is now.

        Raises:
            redis.RedisError: nothing may have been enqueued, or all of it.
        """
        dated = _rung_now() if at is None else {"rung_at": int(at * 1000)}
        ringing = [m.copy(options={"redis_message_id": str(uuid4()), **dated}) for m in messages]
        by_queue: defaultdict[str, dict[str, bytes]] = defaultdict(dict)
        for message in ringing:
            by_queue[message.queue_name][message.options["redis_message_id"]] = message.encode()
        with self.client.pipeline(transaction=True) as pipe:
            for queue, encoded in by_queue.items():
                pipe.hset(f"{self.namespace}:{queue}.msgs", mapping=encoded)  # type: ignore[arg-type]
                pipe.rpush(f"{self.namespace}:{queue}", *encoded)
                pipe.hlen(f"{self.namespace}:{queue}.msgs")
            answers = pipe.execute()
            return dict(zip(by_queue, map(Depth, answers[1::3], answers[2::3]), strict=True))

    def depths(self) -> dict[str, Depth]:
        """Of each lane's queue."""
        with self.client.pipeline(transaction=False) as pipe:
            for lane in LANES.values():
                pipe.llen(f"{self.namespace}:{lane.queue}")
                pipe.hlen(f"{self.namespace}:{lane.queue}.msgs")
            answers = pipe.execute()
            return dict(zip(LANES, map(Depth, answers[::2], answers[1::2]), strict=True))

    def oldest_bell(self, queue_name: str) -> float:
        """The age in seconds of the bell at the head of a queue; 0 where the queue is empty."""
        queue = f"{self.namespace}:{queue_name}"
        head = self.client.lindex(queue, 0)
        data = self.client.hget(f"{queue}.msgs", head) if head else None
        if not data:
            return 0.0
        return max(0.0, clock.now() - self.rung_at(Message.decode(data)))  # type: ignore[arg-type]

    @staticmethod
    def rung_at(message: Message[Any]) -> float:
        """When the bell was rung, on the database's clock: a delayed one, when its delay was over."""
        return float(message.options.get("rung_at", message.message_timestamp)) / 1000

    def oldest_in_hand(self) -> dict[str, float]:
        """By lane, when the oldest bell was rung that this process has fetched and not begun."""
        oldest = {name: min([*self.in_hand(lane.queue).values(), math.inf]) for name, lane in LANES.items()}
        return {name: at for name, at in oldest.items() if at < math.inf}

    def wait_for_bell(self, queue_name: str) -> None:
        """Return when the queue is not empty, or after REDIS_WAIT seconds. Needs Redis 6.2."""
        if queue_name == dq_name(queue_name):
            time.sleep(self.wait / 2)  # Delayed messages are in no hurry to be fetched.
            return
        queue = f"{self.namespace}:{queue_name}"
        # From the head to the head: blocks while the list is empty and leaves it as it was.
        self.client.blmove(queue, queue, self.wait, "LEFT", "LEFT")  # type: ignore[arg-type]


def _rung_now() -> dict[str, int]:
    return {"rung_at": int(clock.now() * 1000)}


class Begun(Middleware):
    """Tells the broker that a message is no longer waiting in memory."""

    def before_process_message(self, broker: Any, message: Any) -> None:
        broker.begin(message)


def connect(current: settings.Settings) -> Doorbell:
    """Make the broker of these settings, with a queue for each lane. Connects to nothing yet."""
    broker = Doorbell(
        redis_pools.pool(current, current.redis_timeout),
        find_namespace=partial(namespace.needed, current),
        wait=current.redis_wait,
        heartbeat_timeout=max(current.worker_timeout, 5 * current.upkeep_interval),
        # No TimeLimit: it may strike between the server's 250 and its record; every wait in a send
        # has a bound of its own. No AgeLimit: whether it is too late is for the row to say.
        middleware=[Begun(), Retries(), Uvloop()],
    )
    for lane in LANES.values():
        broker.declare_queue(lane.queue)
    return broker


@cache
def get_broker() -> Doorbell:
    """Return the broker of this process, which the first call makes of the settings.

    Raises:
        SettingsError: REDIS_URL is not set, or a setting is wrong.
    """
    current = settings.load()
    current.require("redis_url")
    return connect(current)
