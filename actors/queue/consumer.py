"""Redis consumer that waits in Redis instead of sleeping between polls."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import redis
from dramatiq import MessageProxy
from dramatiq.brokers.redis import _RedisConsumer
from dramatiq.errors import ConnectionClosed
from dramatiq.message import Message

if TYPE_CHECKING:
    from actors.queue.broker import NotificationBroker


class WaitingConsumer(_RedisConsumer):
    """Consumer that fetches as soon as the queue has messages and the worker has room for them.

    Every error of Redis, time-outs included, becomes ConnectionClosed: Dramatiq then restarts the consumer. Any other
    exception would end the consumer's thread for good.
    """

    broker: NotificationBroker

    def __init__(self, broker: NotificationBroker, queue_name: str, prefetch: int, timeout: int) -> None:
        super().__init__(broker, queue_name, prefetch, timeout)  # type: ignore[no-untyped-call]
        self._room = threading.Event()

    def __next__(self) -> MessageProxy | None:
        try:
            if not self.message_cache:
                self._fetch()
            return self._take()
        except redis.RedisError as error:
            raise ConnectionClosed(error) from None

    def ack(self, message: MessageProxy) -> None:
        self._finish(super().ack, message)

    def nack(self, message: MessageProxy) -> None:
        self._finish(super().nack, message)

    def requeue(self, messages: Any) -> None:
        try:
            super().requeue(messages)  # type: ignore[no-untyped-call]
        except redis.RedisError as error:
            raise ConnectionClosed(error) from None

    def _fetch(self) -> None:
        room = max(0, self.prefetch - self.outstanding_message_count)
        if room < self.prefetch / 2:  # Fetch many at a time; enough messages are fetched already.
            room = 0
            if self._room.wait(self.broker.wait):  # An acknowledgement has just renewed the heartbeat in Redis.
                self._room.clear()
                return
        # Without room this only renews the heartbeat in Redis. A worker without a heartbeat for `heartbeat_timeout`
        # loses its messages to another worker.
        self.message_cache = self.broker.do_fetch(self.queue_name, room)
        if room and not self.message_cache:
            self.broker.wait_for_message(self.queue_name)

    def _take(self) -> MessageProxy | None:
        if not self.message_cache:
            return None
        data = self.message_cache.pop(0)
        if data is None:  # The body is lost, for example with a flushed Redis; the relay enqueues the rows again.
            return None
        message = Message.decode(data)
        self.queued_message_ids.add(message.message_id)
        self.broker.in_hand(self.queue_name)[message.options["redis_message_id"]] = self.broker.enqueued_at(message)
        return MessageProxy(message)

    def _finish(self, how: Any, message: MessageProxy) -> None:
        try:
            how(message)
        except redis.RedisError as error:
            raise ConnectionClosed(error) from None
        finally:
            self._room.set()
        self.broker.in_hand(self.queue_name).pop(message.options["redis_message_id"], None)
