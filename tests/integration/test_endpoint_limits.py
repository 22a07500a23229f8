"""Many simultaneous callbacks to one endpoint: how many are sent at a time, and the outcome of those that wait."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from actors.channels import Deferred, Receipt, Uncertain, Undelivered
from db.records import Claimed
from tests.eventually import eventually
from tests.hooks import OK, Hooks
from tests.integration.calling import IMPATIENT, Make, Sender, begin, hooks, make, to

__all__ = ["hooks", "make"]

AT_ONCE = 4  # as docs/callbacks.md says


class Slow:
    """Answers when it is let, and knows how many waited for it at once."""

    def __init__(self) -> None:
        self.answering = threading.Event()
        self.now = self.most = 0
        self._lock = threading.Lock()

    def __call__(self, client: socket.socket) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.answering.wait(20)
        with self._lock:
            self.now -= 1
        client.sendall(OK)


async def sending(sender: Sender, callback: Claimed) -> Receipt | Undelivered:
    """Send a callback and return its receipt or its error."""
    try:
        return await sender.channel.send(callback, begin)
    except Undelivered as undelivered:
        return undelivered


def test_callbacks_to_one_endpoint_are_bounded_in_parallel_and_all_of_them_are_sent(make: Make, hooks: Hooks) -> None:
    hooks.answer = slow = Slow()
    sender, callback = make(), to(hooks.url)

    async def send() -> list[Receipt | Undelivered]:
        sent = asyncio.gather(*(sending(sender, callback) for _ in range(3 * AT_ONCE)))
        await asyncio.to_thread(eventually, lambda: slow.now == AT_ONCE)
        slow.answering.set()
        return await sent

    assert all(isinstance(end, Receipt) for end in sender.run(send()))
    assert (slow.most, len(hooks.posts)) == (AT_ONCE, 3 * AT_ONCE)


def test_a_slow_endpoint_delays_no_other(make: Make, hooks: Hooks) -> None:
    hooks.answer = slow = Slow()
    sender, callback = make(), to(hooks.url)

    async def send(other: Claimed) -> None:
        held = [asyncio.create_task(sending(sender, callback)) for _ in range(3 * AT_ONCE)]
        await asyncio.to_thread(eventually, lambda: slow.now == AT_ONCE)
        assert isinstance(await sending(sender, other), Receipt)
        assert not any(task.done() for task in held)
        slow.answering.set()
        await asyncio.gather(*held)

    with Hooks() as quick:
        sender.run(send(to(quick.url)))


def test_callbacks_waiting_for_a_silent_endpoint_are_deferred_without_a_request(make: Make, hooks: Hooks) -> None:
    hooks.answer = hooks.hang
    sender, callback = make(callback_timeout=IMPATIENT, callback_rest=3600), to(hooks.url)

    async def send() -> list[Receipt | Undelivered]:
        return await asyncio.gather(*(sending(sender, callback) for _ in range(3 * AT_ONCE)))

    ends = sender.run(send())
    tried, waited = ends[:AT_ONCE], ends[AT_ONCE:]
    assert all(isinstance(end, Uncertain) for end in tried)
    assert all(isinstance(end, Deferred) and end.receipt.phase == "rest" for end in waited)
    assert hooks.connections == AT_ONCE


def test_a_callback_without_a_free_place_is_deferred_after_its_time(make: Make, hooks: Hooks) -> None:
    hooks.answer = slow = Slow()
    sender, callback = make(list_budget=1), to(hooks.url)

    async def send() -> Receipt | Undelivered:
        held = [asyncio.create_task(sending(sender, callback)) for _ in range(AT_ONCE)]
        await asyncio.to_thread(eventually, lambda: slow.now == AT_ONCE)
        late = await sending(sender, callback)
        slow.answering.set()
        assert all(isinstance(end, Receipt) for end in await asyncio.gather(*held))
        return late

    late = sender.run(send())
    assert isinstance(late, Deferred)
    assert "busy" in str(late)
    assert len(hooks.posts) == AT_ONCE


def test_a_cancelled_send_returns_its_place(make: Make, hooks: Hooks) -> None:
    hooks.answer = slow = Slow()
    sender, callback = make(), to(hooks.url)

    async def send() -> None:
        held = [asyncio.create_task(sending(sender, callback)) for _ in range(2 * AT_ONCE)]
        await asyncio.to_thread(eventually, lambda: slow.now == AT_ONCE)
        for task in held:
            task.cancel()
        await asyncio.wait(held)
        slow.answering.set()
        assert isinstance(await sending(sender, callback), Receipt)

    sender.run(send())


@pytest.mark.parametrize("after", [0.001, 3600])
def test_a_failure_other_than_a_timeout_does_not_make_the_endpoint_rest(make: Make, after: float) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    sender, callback = make(callback_rest=after), to(f"http://127.0.0.1:{port}/")
    phases = []
    for _ in range(2):
        with pytest.raises(Deferred) as deferred:
            sender.send(callback)
        phases.append(deferred.value.receipt.phase)
    assert phases == ["connect"] * 2
