"""Division of a worker's threads among the priorities, and the order of clients in a crowded one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Empty
from types import SimpleNamespace
from typing import Any

import pytest

from actors.queue import fairness
from actors.queue.fairness import Fairness, possible_priorities
from actors.queue.priorities import PRIORITIES, PriorityQueue


@dataclass(order=True)
class Item:
    """Item of a queue as Dramatiq makes it."""

    priority: int
    message: Any = field(compare=False)


def item(lane: str, priority: int = 0) -> Item:
    return Item(priority, SimpleNamespace(queue_name=PRIORITIES[lane].queue, lane=lane))


class Worker:
    """One thread that takes from a queue and finishes what it took, when told to."""

    def __init__(self, queue: PriorityQueue) -> None:
        self._queue, self._thread = queue, ThreadPoolExecutor(1)

    def take(self) -> str | None:
        """Return the priority of the message that it took, or None if there was none for it."""
        try:
            return self.wait(0.01).result()
        except Empty:
            return None

    def wait(self, seconds: float) -> Future[str]:
        return self._thread.submit(lambda: str(self._queue.get(timeout=seconds).message.lane))

    def finish(self) -> None:
        self._thread.submit(self._queue.task_done).result()

    def leave(self) -> None:
        self._thread.shutdown()


MAILS = ("high", "normal", "bulk", "callback")


@pytest.fixture
def queue() -> PriorityQueue:
    return PriorityQueue(threads=4, reserve=1, served=MAILS)


@pytest.fixture
def workers(queue: PriorityQueue) -> Iterator[list[Worker]]:
    started = [Worker(queue) for _ in range(4)]
    yield started
    for worker in started:
        worker.leave()


def taken(queue: PriorityQueue, threads: int) -> list[str | None]:
    """Return what so many threads take, one after the other; none finishes."""
    workers = [Worker(queue) for _ in range(threads)]
    try:
        return [worker.take() for worker in workers]
    finally:
        for worker in workers:
            worker.leave()


def test_no_channel_takes_the_threads_of_another() -> None:
    served = [*MAILS, "sms.high", "sms.normal", "sms.bulk", "push.high", "push.normal", "push.bulk"]
    queue = PriorityQueue(threads=8, reserve=0, served=served)
    for name in served:
        for number in range(20):
            queue.put(item(name, number))

    found = taken(queue, 8)

    assert [found.count(name) for name in ("high", "sms.high", "push.high")] == [4, 2, 2]


def test_a_channel_whose_provider_hangs_leaves_threads_to_all_others() -> None:
    queue = PriorityQueue(threads=8, reserve=0, served=[*MAILS, "sms.normal", "push.normal", "chat.normal"])
    for number in range(20):
        queue.put(item("sms.normal", number))
    assert taken(queue, 8).count("sms.normal") == 4
    for name in ("push.normal", "chat.normal"):
        for number in range(20):
            queue.put(item(name, number))
    found = taken(queue, 8)
    assert [found.count(name) for name in ("sms.normal", "push.normal", "chat.normal")] == [0, 1, 1]
    for number in range(20):
        queue.put(item("normal", number))

    assert taken(queue, 2).count("normal") == 2


def test_all_other_channels_together_leave_a_thread_to_mails() -> None:
    names = [f"{channel}.normal" for channel in ("sms", "push", "chat", "webhook")]
    queue = PriorityQueue(threads=4, reserve=0, served=[*MAILS, *names])
    for name in names:
        for number in range(20):
            queue.put(item(name, number))
    assert len([name for name in taken(queue, 8) if name]) == 3
    queue.put(item("normal"))

    assert taken(queue, 1) == ["normal"]


def test_a_process_that_serves_one_channel_alone_gives_it_all_threads() -> None:
    queue = PriorityQueue(threads=4, reserve=0, served=["sms.high", "sms.normal", "sms.bulk"])
    for number in range(20):
        queue.put(item("sms.normal", number))

    assert taken(queue, 5) == [*["sms.normal"] * 4, None]


def test_messages_of_the_highest_priority_are_taken_first(queue: PriorityQueue, workers: list[Worker]) -> None:
    for lane in ("callback", "bulk", "normal", "high"):
        queue.put(item(lane))
    assert [worker.take() for worker in workers] == ["high", "normal", "bulk", "callback"]


def test_messages_of_one_priority_are_taken_in_order_of_arrival(queue: PriorityQueue, workers: list[Worker]) -> None:
    for priority in (2, 1):
        queue.put(item("normal", priority))
    assert workers[0].take() == "normal"
    assert queue.get_nowait().priority == 2


def test_lower_priorities_leave_threads_to_higher_ones(queue: PriorityQueue, workers: list[Worker]) -> None:
    for _ in range(9):
        queue.put(item("bulk"))
    assert [worker.take() for worker in workers] == ["bulk", "bulk", None, None]
    for _ in range(9):
        queue.put(item("normal"))
    assert [worker.take() for worker in workers[2:]] == ["normal", None]
    queue.put(item("high"))
    assert workers[3].take() == "high"


def test_callbacks_never_keep_bulk_from_being_sent(queue: PriorityQueue, workers: list[Worker]) -> None:
    for _ in range(9):
        queue.put(item("callback"))
    queue.put(item("bulk"))
    assert [worker.take() for worker in workers] == ["bulk", "callback", None, None]


def test_a_finished_message_admits_the_next_one(queue: PriorityQueue, workers: list[Worker]) -> None:
    for _ in range(3):
        queue.put(item("bulk"))
    first, second, third, _ = workers
    assert [first.take(), second.take()] == ["bulk", "bulk"]
    waiting = third.wait(10)
    first.finish()
    assert waiting.result(10) == "bulk"


def test_all_threads_serve_the_highest_priority(queue: PriorityQueue, workers: list[Worker]) -> None:
    for _ in range(4):
        queue.put(item("high"))
    assert [worker.take() for worker in workers] == ["high"] * 4


def test_one_thread_serves_all_priorities_until_the_queue_is_empty() -> None:
    queue = PriorityQueue(threads=1, reserve=5, served=MAILS)
    lanes = ["high", "normal", "bulk", "bulk", "callback"]
    for lane in reversed(lanes):
        queue.put(item(lane))
    assert [queue.get_nowait().message.lane for _ in lanes] == lanes
    with pytest.raises(Empty):
        queue.get_nowait()


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> Fairness:
    monkeypatch.setattr(fairness, "DEPTH", 10)
    monkeypatch.setattr(fairness, "BURST", 3)
    return Fairness()


def routed(turns: Fairness, lane: str, client: int, count: int, depth: int) -> str:
    turns.count(lane, client, count)
    return turns.priority(lane, client, depth)


def test_notifications_keep_their_own_priority_while_it_has_room(turns: Fairness) -> None:
    assert {routed(turns, lane, 1, 100, 9) for lane in PRIORITIES} == set(PRIORITIES)


@pytest.mark.parametrize(
    ("lane", "little", "much"),
    [("high", "high", "normal"), ("normal", "high", "normal"), ("bulk", "normal", "bulk")],
)
def test_clients_with_few_notifications_pass_those_with_many_in_a_crowded_priority(
    turns: Fairness, lane: str, little: str, much: str
) -> None:
    assert routed(turns, lane, 1, 3, 10) == little
    assert routed(turns, lane, 1, 1, 10) == much
    assert routed(turns, lane, 2, 1, 10) == little


def test_a_burst_of_a_client_is_forgotten_after_a_second(turns: Fairness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 100.9)
    assert routed(turns, "normal", 1, 100, 10) == "normal"
    monkeypatch.setattr("time.monotonic", lambda: 101.0)
    assert routed(turns, "normal", 1, 1, 10) == "high"


def test_possible_priorities_include_each_one_that_a_wake_up_message_may_be_sent_to(turns: Fairness) -> None:
    for lane in PRIORITIES:
        found = {
            routed(turns, lane, client, count, depth) for client in (1, 2) for count in (1, 9) for depth in (0, 10)
        }
        assert found <= possible_priorities(lane)
