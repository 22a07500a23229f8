"""Wake-up messages on a real Redis: enqueueing, waiting, and recovery from faults of Redis."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from unittest import mock

import pytest
import redis
from dramatiq.errors import ConnectionClosed
from dramatiq.message import Message

from actors.queue import fairness
from actors.queue.broker import get_broker
from actors.queue.consumer import WaitingConsumer
from actors.queue.priorities import MAIN as QUEUE
from actors.queue.wake_up import SEVERAL, WakeUp, WakeUpQueue, message, messages
from tests.environment import configured
from tests.eventually import eventually

pytestmark = pytest.mark.usefixtures("redis_url")

DELAYED = f"{QUEUE}.DQ"
broker = get_broker()
# Without an account for mails the broker does not declare it.
broker.declare_queue(QUEUE)


def waiting() -> list[Message[object]]:
    """The messages that wait in the queue, first to last."""
    queue = f"dramatiq:{QUEUE}"
    ids = broker.client.lrange(queue, 0, -1)
    return [Message.decode(broker.client.hget(f"{queue}.msgs", id)) for id in ids]  # type: ignore[arg-type]


def waiting_by_lane() -> dict[str, int]:
    depths = broker.depths()
    return {name: depths[name].waiting for name in ("high", "normal", "bulk", "callback")}


def lists() -> list[list[int]]:
    """The lists of ids that they carry."""
    return [message.args[0] for message in waiting()]


def carried() -> list[int]:
    """All ids that the messages carry. An API enqueues behind its answers, so those of an earlier test may be there."""
    return [id for ids in lists() for id in ids]


@pytest.fixture
def consumer() -> Iterator[WaitingConsumer]:
    broker._in_hand.clear()
    yield broker.consume(QUEUE, prefetch=2, timeout=1000)
    broker._in_hand.clear()


@pytest.mark.parametrize(
    ("count", "threads", "most", "sizes"),
    [(1, 16, 50, [1]), (16, 16, 50, [1] * 16), (40, 16, 50, [3] * 13 + [1]), (1000, 4, 50, [50] * 20), (3, 0, 50, [3])],
)
def test_lists_of_ids_keep_every_thread_busy_and_stay_short(
    count: int, threads: int, most: int, sizes: list[int]
) -> None:
    made = messages(list(range(count)), threads, most)
    assert [len(m.args[0]) for m in made] == sizes
    assert [id for m in made for id in m.args[0]] == list(range(count))


def test_many_messages_go_out_in_one_round_trip_as_dramatiq_would_send_them() -> None:
    assert broker.enqueue_all(messages([1, 2, 3], 3, 50)) == {QUEUE: (3, 3)}
    broker.enqueue(message([4]))
    assert lists() == [[1], [2], [3], [4]]
    assert waiting_by_lane() == {"high": 0, "normal": 4, "bulk": 0, "callback": 0}


def test_the_oldest_wake_up_message_is_the_head_of_the_queue() -> None:
    assert broker.oldest_message(QUEUE) == 0
    with mock.patch("db.clock.time.time", return_value=time.time() - 5):
        broker.enqueue_all(messages([1], 1, 50))
    broker.enqueue_all(messages([2], 1, 50))
    assert 5 <= broker.oldest_message(QUEUE) < 7


def test_notifications_for_a_full_queue_are_left_to_the_relay_until_there_is_room() -> None:
    with configured(relay_watermark=2, wake_up_spread=1) as current:
        wake_ups = WakeUpQueue(current)
    for id in (1, 2):
        assert wake_ups.left([("normal", 1)]) == set()
        wake_ups._enqueueing.submit(WakeUp([id], 0.0)).result(60)
    assert wake_ups.left([("normal", 1), ("high", 1), ("normal", 2)]) == {("normal", 1), ("normal", 2)}
    broker.flush(QUEUE)
    eventually(lambda: wake_ups.left([("normal", 1)]) == set())
    assert lists() == []
    wake_ups.close(5)


def test_a_queue_far_above_the_watermark_takes_no_more_wake_up_messages() -> None:
    with configured(relay_watermark=2, wake_up_spread=1) as current:
        wake_ups = WakeUpQueue(current)
    for id in range(1, 7):
        wake_ups._enqueueing.submit(WakeUp([id], 0.0)).result(60)
    assert lists() == [[1], [2], [3], [4]]
    wake_ups.close(5)


def test_lists_of_ids_grow_once_every_thread_has_work() -> None:
    with configured(wake_up_spread=4) as current:
        wake_ups = WakeUpQueue(current)
    for first in (0, 10, 20):
        wake_ups._enqueueing.submit(WakeUp(list(range(first, first + 8)), 0.0)).result(60)
    assert [len(ids) for ids in lists()] == [2, 2, 2, 2, 8, 8]
    wake_ups.close(5)


def test_a_wake_up_message_that_cannot_be_enqueued_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> int:
        raise redis.ConnectionError("away")

    monkeypatch.setattr(broker, "enqueue_all", away)
    monkeypatch.setattr("actors.queue.wake_up.WAITING", 1)
    with configured() as current:
        wake_ups = WakeUpQueue(current)
    for id in range(100):
        wake_ups.enqueue(WakeUp([id], 0.0))
    wake_ups.close(5)
    wake_ups.enqueue(WakeUp([1], 0.0))


def test_a_waiting_consumer_gets_a_wake_up_message_at_once(
    consumer: WaitingConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[object] = []
    wait = broker.client.blmove
    monkeypatch.setattr(broker.client, "blmove", lambda *words: waits.append(wait(*words)))

    def listen() -> None:
        while (message := next(consumer)) is None:
            pass
        consumer.ack(message)

    def woken() -> bool:
        """Return whether the message ended a wait; on a busy machine the wait may end just before it."""
        thread = threading.Thread(target=listen)
        thread.start()
        eventually(lambda: broker.client.info("clients")["blocked_clients"] == 1)
        broker.enqueue(message([1]))
        thread.join(60)
        return waits[-1] is not None

    eventually(woken, within=30)


def test_a_full_consumer_takes_no_message_and_still_sends_its_heartbeat(consumer: WaitingConsumer) -> None:
    broker.enqueue_all(messages([1, 2, 3], 3, 50))
    first, _second = next(consumer), next(consumer)
    broker.client.delete("dramatiq:__heartbeats__")
    assert next(consumer) is None
    assert broker.client.zscore("dramatiq:__heartbeats__", broker.broker_id)
    assert broker.depths()["normal"] == (1, 3)
    assert first is not None
    consumer.ack(first)
    third = next(consumer)
    assert third is not None
    assert third.args == ([3],)


def test_messages_that_an_earlier_consumer_fetched_and_lost_are_put_back(consumer: WaitingConsumer) -> None:
    broker.enqueue_all(messages([1, 2], 2, 50))
    in_hand = next(consumer)  # Fetched two, handed out one.
    assert in_hand is not None
    again = broker.consume(QUEUE, prefetch=2, timeout=1000)
    recovered = next(again)
    assert recovered is not None
    assert recovered.args == ([2],)
    assert broker.depths()["normal"].waiting == 0


def test_delayed_messages_dropped_with_their_connection_are_put_back() -> None:
    broker.enqueue(message([1]), delay=60_000)
    waiting = broker.consume(DELAYED, prefetch=10, timeout=1000)
    assert next(waiting) is not None
    again = broker.consume(DELAYED, prefetch=10, timeout=1000)
    recovered = next(again)
    assert recovered is not None
    assert recovered.args == ([1],)


@pytest.mark.parametrize("fault", [redis.TimeoutError, redis.ConnectionError, redis.ReadOnlyError])
def test_every_fault_of_redis_restarts_the_consumer_instead_of_ending_it(
    consumer: WaitingConsumer, monkeypatch: pytest.MonkeyPatch, fault: type[Exception]
) -> None:
    def broken(*_: object) -> None:
        raise fault("broken")

    monkeypatch.setitem(broker.__dict__, "do_fetch", broken)
    with pytest.raises(ConnectionClosed):
        next(consumer)


def test_a_message_whose_body_was_flushed_is_skipped(consumer: WaitingConsumer) -> None:
    broker.enqueue_all(messages([1, 2], 2, 50))
    broker.client.delete(f"dramatiq:{QUEUE}.msgs")
    assert next(consumer) is None


def test_a_fetched_wake_up_message_keeps_its_enqueueing_time_until_it_is_begun(consumer: WaitingConsumer) -> None:
    before = time.time()
    broker.enqueue_all(messages([1], 1, 50))
    wake_ups = next(consumer)
    assert wake_ups is not None
    [(priority, enqueued_at)] = broker.oldest_in_hand().items()
    assert priority == "normal"
    assert before - 1 < enqueued_at < time.time() + 1
    broker.emit_before("process_message", wake_ups)
    assert broker.oldest_in_hand() == {}
    consumer.ack(wake_ups)
    assert broker.in_hand(QUEUE) == {}


def test_a_delayed_wake_up_message_has_the_time_of_its_enqueueing() -> None:
    delayed = message([1]).copy(options={"rung_at": 1})
    before = time.time()
    assert broker.enqueued_at(broker.enqueue(delayed)) > before - 1


def test_a_quiet_client_passes_a_backlog_that_workers_have_fetched(
    consumer: WaitingConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fairness, "DEPTH", 2)
    monkeypatch.setattr(fairness, "BURST", 2)
    with configured(wake_up_spread=1) as current:
        wake_ups = WakeUpQueue(current)
    for first in (0, 10):
        wake_ups._enqueueing.submit(WakeUp(list(range(first, first + 10)), 0.0, "normal", 1)).result(60)
    assert [next(consumer), next(consumer)] != [None, None]
    assert broker.depths()["normal"] == (0, 2)
    wake_ups._enqueueing.submit(WakeUp([100], 0.0, "normal", 2)).result(60)
    assert waiting_by_lane()["high"] == 1
    wake_ups.close(5)


def test_a_quiet_client_passes_a_backlog_that_another_process_enqueued(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fairness, "DEPTH", 4)
    monkeypatch.setattr(fairness, "BURST", 2)
    with configured(wake_up_spread=1000) as current:
        crowding, other = WakeUpQueue(current), WakeUpQueue(current)
    crowding._enqueueing.submit(WakeUp(list(range(10)), 0.0, "normal", 1)).result(60)
    other._enqueueing.submit(WakeUp([100], 0.0, "normal", 2)).result(60)
    other._enqueueing.submit(WakeUp([101], 0.0, "normal", 2)).result(60)
    assert waiting_by_lane() == {"high": 2, "normal": 11, "bulk": 0, "callback": 0}
    for wake_ups in (crowding, other):
        wake_ups.close(5)


def test_submissions_soon_after_a_round_trip_for_several_share_the_next_round_trip(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("actors.queue.wake_up.REST", 60.0)
    with configured(wake_up_spread=1) as current:
        wake_ups = WakeUpQueue(current)
    resting = mock.patch.object(wake_ups._closing, "wait", wraps=wake_ups._closing.wait)
    with mock.patch.object(broker, "enqueue_all", wraps=broker.enqueue_all) as trips, resting as rests:
        wake_ups.enqueue(WakeUp(range(SEVERAL), 0.0))
        eventually(lambda: rests.called)
        wake_ups.enqueue(WakeUp([10, 11], 0.0))
        wake_ups.enqueue(WakeUp([12], 0.0))
        wake_ups.close(10)
    assert lists() == [list(range(SEVERAL)), [10, 11, 12]]
    assert trips.call_count == 2


def test_no_pause_follows_a_round_trip_for_few_ids() -> None:
    with configured(wake_up_spread=1) as current:
        wake_ups = WakeUpQueue(current)
    with mock.patch.object(wake_ups._closing, "wait") as rests:
        wake_ups._enqueueing.submit(WakeUp(range(SEVERAL - 1), 0.0)).result(60)
        wake_ups.close(10)
    assert not rests.called


def test_a_queue_depth_from_the_last_round_trip_is_not_queried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fairness, "DEPTH", 1)
    with configured(wake_up_spread=1) as current:
        wake_ups = WakeUpQueue(current)
    with mock.patch.object(broker, "depths", wraps=broker.depths) as asked:
        monkeypatch.setattr("actors.queue.wake_up.TAKEN_WITHIN", 1e9)  # no queue can have become empty since
        for id in (1, 2, 3):
            wake_ups._enqueueing.submit(WakeUp([id], 0.0)).result(60)
        assert asked.call_count == 0
        monkeypatch.setattr("actors.queue.wake_up.TAKEN_WITHIN", 0.0)
        wake_ups._enqueueing.submit(WakeUp([4], 0.0)).result(60)
        assert asked.call_count == 1
    wake_ups.close(10)
