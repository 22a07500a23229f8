"""Coalescer: faults, order, bounds, shutdown, fork, a lost connection, pauses."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from db.coalesce import Closed, Coalescer, Full
from db.database import Unacceptable, Unavailable, connection, database, rows
from settings import Settings
from tests.eventually import eventually

pytestmark = pytest.mark.usefixtures("store")


class Gate:
    """A `run` that waits until the gate is open, and records its batches."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered = threading.Event()
        self.batches: list[list[int]] = []

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.entered.set()
        assert self.open.wait(60)
        self.batches.append(list(items))
        if bad := [i for i in items if i < 0]:
            raise Unacceptable(f"{bad[0]}")
        if 13 in items:
            raise ZeroDivisionError
        return [i * 10 for i in items]


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def coalescer(gate: Gate) -> Iterator[Coalescer[int, int]]:
    coalescer = Coalescer("test", gate, most=100, waiting=50)
    yield coalescer
    gate.open.set()
    coalescer.close(10)


def busy(coalescer: Coalescer[int, int], gate: Gate) -> None:
    """Put the flusher into a run, so that new items must wait and share the next one."""
    coalescer.submit(0)
    assert gate.entered.wait(60)


def test_a_single_item_is_run_at_once(coalescer: Coalescer[int, int], gate: Gate) -> None:
    gate.open.set()
    assert coalescer.submit(7).result(60) == 70


def test_waiting_items_share_one_run_in_order(coalescer: Coalescer[int, int], gate: Gate) -> None:
    busy(coalescer, gate)
    futures = [coalescer.submit(i) for i in range(1, 11)]
    gate.open.set()
    assert [f.result(60) for f in futures] == [i * 10 for i in range(1, 11)]
    assert gate.batches == [[0], list(range(1, 11))]


def test_a_run_takes_at_most_the_given_number_of_items(gate: Gate) -> None:
    coalescer = Coalescer("test", gate, most=3, waiting=50)
    busy(coalescer, gate)
    futures = [coalescer.submit(i) for i in range(1, 8)]
    gate.open.set()
    assert [f.result(60) for f in futures] == [i * 10 for i in range(1, 8)]
    assert [len(b) for b in gate.batches] == [1, 3, 3, 1]
    assert coalescer.close(10)


def test_a_fault_of_one_item_reaches_its_caller_only(coalescer: Coalescer[int, int], gate: Gate) -> None:
    busy(coalescer, gate)
    good, bad, better = coalescer.submit(1), coalescer.submit(-5), coalescer.submit(2)
    gate.open.set()
    assert (good.result(60), better.result(60)) == (10, 20)
    with pytest.raises(Unacceptable, match="-5"):
        bad.result(60)


def test_any_other_error_reaches_every_caller_of_that_run_and_no_later_one(
    coalescer: Coalescer[int, int], gate: Gate
) -> None:
    busy(coalescer, gate)
    futures = [coalescer.submit(i) for i in (1, 13, 2)]
    gate.open.set()
    for future in futures:
        with pytest.raises(ZeroDivisionError):
            future.result(60)
    assert coalescer.submit(3).result(60) == 30


def test_too_many_waiting_items_are_refused_and_none_is_lost(coalescer: Coalescer[int, int], gate: Gate) -> None:
    busy(coalescer, gate)
    futures = [coalescer.submit(i) for i in range(1, 51) if i != 13]
    futures.append(coalescer.submit(51))
    with pytest.raises(Full):
        coalescer.submit(99)
    gate.open.set()
    assert all(f.result(60) for f in futures)


def test_close_finishes_waiting_items_and_takes_no_new_ones(coalescer: Coalescer[int, int], gate: Gate) -> None:
    busy(coalescer, gate)
    futures = [coalescer.submit(i) for i in range(1, 6)]
    closing = threading.Thread(target=coalescer.close, args=(10,))
    closing.start()
    eventually(lambda: coalescer._closed)
    with pytest.raises(Closed):
        coalescer.submit(6)
    gate.open.set()
    closing.join(60)
    assert [f.result(0) for f in futures] == [10, 20, 30, 40, 50]


def test_close_gives_up_after_its_timeout(coalescer: Coalescer[int, int], gate: Gate) -> None:
    busy(coalescer, gate)
    assert not coalescer.close(0.05)


def test_a_coalescer_that_never_ran_closes_at_once(gate: Gate) -> None:
    assert Coalescer("test", gate, most=1, waiting=1).close(0)


def test_the_event_loop_gets_answers_and_faults(coalescer: Coalescer[int, int], gate: Gate) -> None:
    gate.open.set()

    async def ask() -> list[int | BaseException]:
        return await asyncio.gather(*(coalescer.ask(i) for i in (1, -2, 3)), return_exceptions=True)

    first, second, third = asyncio.run(ask())
    assert (first, third) == (10, 30)
    assert isinstance(second, Unacceptable)


def test_a_cancelled_caller_does_not_affect_others(coalescer: Coalescer[int, int], gate: Gate) -> None:
    async def ask() -> int:
        gone = coalescer.ask(1)
        stays = coalescer.ask(2)
        gone.cancel()
        gate.open.set()
        return await stays

    assert asyncio.run(ask()) == 20


def test_a_cancelled_call_is_left_out_of_the_batch(coalescer: Coalescer[int, int], gate: Gate) -> None:
    busy(coalescer, gate)
    given_up, patient = coalescer.submit(1), coalescer.submit(2)
    given_up.cancel()
    gate.open.set()
    assert patient.result(60) == 20
    assert gate.batches == [[0], [2]]


def test_a_closed_event_loop_does_not_affect_others(coalescer: Coalescer[int, int], gate: Gate) -> None:
    async def leave() -> None:
        coalescer.ask(1)

    asyncio.run(leave())
    gate.open.set()
    assert coalescer.submit(2).result(60) == 20


def test_hundreds_of_threads_each_get_their_own_answer(gate: Gate) -> None:
    gate.open.set()
    coalescer = Coalescer("test", gate, most=64, waiting=1000)
    answers: dict[int, int] = {}

    def call(i: int) -> None:
        answers[i] = coalescer.submit(i).result(60)

    threads = [threading.Thread(target=call, args=(i,)) for i in range(100, 400)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == {i: i * 10 for i in range(100, 400)}
    coalescer.close(10)


def test_a_child_after_a_fork_inherits_no_waiting_items_and_works(coalescer: Coalescer[int, int], gate: Gate) -> None:
    busy(coalescer, gate)
    waiting = coalescer.submit(1)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        gate.open.set()
        gate.batches.clear()
        os.write(writer, f"{coalescer.submit(5).result(60)} {gate.batches}".encode())
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(writer)
    assert os.read(reader, 1000) == b"50 [[5]]"
    os.close(reader)
    gate.open.set()
    assert waiting.result(60) == 10


def backend(_: Sequence[int]) -> list[int]:
    with connection():
        [(pid,)] = rows("SELECT pg_backend_pid()")
        return [pid]


def terminate(pid: int) -> None:
    """End a connection on the server, and wait until its process has ended."""
    rows("SELECT pg_terminate_backend(%s, 5000)", pid)


def test_a_connection_lost_while_idle_is_replaced_before_it_is_used(
    store: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.database.MOMENT", 0.0)
    coalescer: Coalescer[int, int] = Coalescer("test", backend, most=1, waiting=10)
    first = coalescer.submit(0).result(60)
    assert coalescer.submit(0).result(60) == first
    terminate(first)
    assert coalescer.submit(0).result(60) != first
    coalescer.close(10)


def test_a_connection_lost_in_the_middle_reaches_the_callers_and_the_next_ones_succeed(store: Settings) -> None:
    def sleep(_: Sequence[int]) -> list[int]:
        with connection():
            rows("SELECT pg_sleep(10) WHERE %s", bool(_[0]))
            return [1]

    coalescer: Coalescer[int, int] = Coalescer("test", sleep, most=1, waiting=10)
    lost = coalescer.submit(1)
    find = "SELECT pid FROM pg_stat_activity WHERE query LIKE %s"
    found = eventually(lambda: rows(find, "SELECT pg_sleep(10)%"))
    terminate(found[0][0])
    with pytest.raises(Unavailable):
        lost.result(60)
    assert coalescer.submit(0).result(60) == 1
    coalescer.close(10)


def test_the_thread_returns_its_connection_at_its_end(store: Settings) -> None:
    coalescer: Coalescer[int, int] = Coalescer("test", backend, most=1, waiting=10)
    pid = coalescer.submit(0).result(60)
    coalescer.close(10)
    assert eventually(lambda: not rows("SELECT 1 FROM pg_stat_activity WHERE pid = %s", pid))
    assert not database.is_closed()


REST = 3_600.0


class Pauses(threading.Event):
    """The event that ends a pause. It records how long each pause may last; with `over`, that time passes at once."""

    def __init__(self, over: bool) -> None:
        super().__init__()
        self.bounds: list[float | None] = []
        self._over = over

    def wait(self, timeout: float | None = None) -> bool:
        self.bounds.append(timeout)
        return super().wait(0 if self._over else timeout)


class Resting:
    """A coalescer that has just run for three items, and the items of its runs. A run takes four items at most."""

    def __init__(self, over: bool) -> None:
        self.runs: list[list[int]] = []
        self.going = threading.Event()
        self.coalescer = Coalescer("rests", self._run, most=4, waiting=100, rest=REST)
        self.coalescer._enough = self.pauses = Pauses(over)
        waiting = [self.coalescer.submit(0)]
        eventually(self.coalescer._queue.empty)
        waiting += [self.coalescer.submit(number) for number in range(1, 4)]
        self.going.set()
        assert [one.result(60) for one in waiting] == list(range(4))

    def _run(self, items: Sequence[int]) -> Sequence[int]:
        assert self.going.wait(60)
        self.runs.append(list(items))
        return items


@pytest.fixture
def resting() -> Iterator[Callable[[bool], Resting]]:
    made: list[Resting] = []

    def make(over: bool) -> Resting:
        made.append(Resting(over))
        return made[-1]

    yield make
    # A close does not wait for the end of a pause.
    assert all(one.coalescer.close(10) for one in made)


def test_after_a_run_for_several_it_pauses_until_as_many_wait_again(resting: Callable[[bool], Resting]) -> None:
    one = resting(False)
    again = [one.coalescer.submit(number) for number in (4, 5)]
    assert eventually(lambda: one.coalescer._awaited == 3)
    assert one.runs == [[0], [1, 2, 3]]
    again.append(one.coalescer.submit(6))
    assert [future.result(60) for future in again] == [4, 5, 6]
    assert one.runs[2:] == [[4, 5, 6]]


def test_the_pause_ends_after_its_time_if_fewer_wait(resting: Callable[[bool], Resting]) -> None:
    one = resting(True)
    assert one.coalescer.submit(4).result(60) == 4
    assert one.pauses.bounds == [REST]
    assert one.runs[2:] == [[4]]


def test_there_is_no_pause_if_a_full_run_waits_already(resting: Callable[[bool], Resting]) -> None:
    one = resting(False)
    one.going.clear()
    again = [one.coalescer.submit(number) for number in (4, 5, 6)]
    eventually(one.coalescer._queue.empty)
    again += [one.coalescer.submit(number) for number in range(7, 12)]
    one.going.set()
    assert [future.result(60) for future in again] == list(range(4, 12))
    assert one.runs[2:] == [[4, 5, 6], [7, 8, 9, 10], [11]]


def test_the_pause_waits_for_as_many_items_as_were_answered_and_already_waited(
    resting: Callable[[bool], Resting],
) -> None:
    one = resting(False)
    one.going.clear()
    again = [one.coalescer.submit(number) for number in (4, 5, 6)]
    eventually(one.coalescer._queue.empty)
    again.append(one.coalescer.submit(7))
    one.going.set()
    assert eventually(lambda: one.coalescer._awaited == 4)
    again += [one.coalescer.submit(number) for number in (8, 9, 10)]
    assert [future.result(60) for future in again] == list(range(4, 11))
    assert one.runs[2:] == [[4, 5, 6], [7, 8, 9, 10]]


def test_there_is_no_pause_after_a_run_for_one(resting: Callable[[bool], Resting]) -> None:
    one = resting(True)
    for number in range(4, 7):
        assert one.coalescer.submit(number).result(60) == number
    assert one.coalescer.close(10)
    assert one.runs == [[0], [1, 2, 3], [4], [5], [6]]
    assert one.pauses.bounds == [REST]
