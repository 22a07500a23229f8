"""Each client has a budget of CPU time for what is refused or costly."""

from __future__ import annotations

import asyncio
import time
from unittest import mock

import pytest
from falcon.testing import create_scope

from api.access.cpu_budget import BURST, FREE, REFILL, CpuBudget
from api.access.meter import Meter
from api.http.asgi import Application
from api.http.problems import Problem
from settings import read


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def burn(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def spent_up() -> CpuBudget:
    """A budget of which client 1 has nothing left, and owes nothing, at a time that stands still."""
    budget = CpuBudget(clock=Clock())
    budget.charge(1, BURST)
    budget.require(1)
    return budget


def answered(budget: CpuBudget, seconds: float, *, free: float = 0.0) -> None:
    """A request of client 1 that takes this long on the CPU, and as long again after it has waited."""

    async def answering() -> None:
        meter.charge(budget, 1)
        burn(seconds)
        await asyncio.sleep(0)
        burn(seconds)
        meter.free = free

    async def asked() -> None:
        await meter
        meter.settle()

    meter = Meter(answering())
    asyncio.run(asked())


def test_a_client_without_budget_gets_a_429_with_retry_after() -> None:
    clock = Clock()
    budget = CpuBudget(clock=clock)
    budget.charge(1, BURST + 10 * REFILL)
    with pytest.raises(Problem) as caught:
        budget.require(1)
    assert (caught.value.status, caught.value.headers["Retry-After"]) == (429, "10")
    budget.require(2)
    clock.now = 10.001
    budget.require(1)


def test_a_cheap_accepted_request_costs_nothing() -> None:
    budget = spent_up()
    answered(budget, 0, free=FREE)
    budget.require(1)


@pytest.mark.parametrize(("seconds", "free"), [(FREE, 0.0), (2 * FREE, FREE)])
def test_refused_or_long_requests_are_charged(seconds: float, free: float) -> None:
    budget = spent_up()
    answered(budget, seconds, free=free)
    with pytest.raises(Problem):
        budget.require(1, 2 * seconds - free - 0.0001)


def test_waiting_is_not_charged_to_a_request() -> None:
    budget = spent_up()

    async def answering() -> None:
        meter.charge(budget, 1)
        for _ in range(10):
            await asyncio.sleep(0)

    async def asked() -> None:
        busy = asyncio.get_running_loop().create_task(others())
        await meter
        busy.cancel()
        meter.settle()

    async def others() -> None:
        while True:
            burn(0.02)
            await asyncio.sleep(0)

    meter = Meter(answering())
    asyncio.run(asked())
    budget.require(1, 0.1)


def test_a_cancelled_request_is_charged_and_its_cancellation_is_raised() -> None:
    budget = spent_up()
    heard: list[bool] = []

    async def answering() -> None:
        meter.charge(budget, 1)
        burn(FREE)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            heard.append(True)
            raise

    async def asked() -> None:
        try:
            async with asyncio.timeout(0.01):
                await meter
        except TimeoutError:
            meter.settle()

    meter = Meter(answering())
    asyncio.run(asked())
    assert heard
    with pytest.raises(Problem):
        budget.require(1)


def test_the_free_cpu_of_a_request_is_settled_at_its_end() -> None:
    budget = spent_up()

    async def answering() -> None:
        meter.charge(budget, 1)
        burn(FREE)
        meter.require(1.0)
        with pytest.raises(Problem):
            meter.require(FREE / 2)
        meter.free = 1.0

    async def asked() -> None:
        await meter
        meter.settle()

    meter = Meter(answering())
    asyncio.run(asked())
    budget.require(1)


def test_the_budget_of_a_client_is_forgotten_when_it_is_full_again() -> None:
    clock = Clock()
    budget = CpuBudget(clock=clock)
    budget.charge(1, BURST)
    clock.now = BURST / REFILL
    budget.charge(2, 1.0)
    assert list(budget._left) == [2]


def test_the_only_client_of_an_installation_is_charged_nothing() -> None:
    budget = CpuBudget(divided=False)
    budget.charge(1, 100 * BURST)
    budget.require(1)


@pytest.mark.parametrize(("auth", "reads"), [("required", True), ("off", False)])
def test_the_cpu_clock_is_read_only_if_clients_are_charged(auth: str, reads: bool) -> None:
    app = Application(read({"AUTH": auth}))
    scope = create_scope(method="POST", path="/nowhere")

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(event: dict[str, object]) -> None:
        answer.append(event)

    answer: list[dict[str, object]] = []
    with mock.patch("api.access.meter.time.thread_time", return_value=0.0) as clock:
        asyncio.run(app(scope, receive, send))
    assert answer[0]["status"] == 404
    assert clock.called == reads
