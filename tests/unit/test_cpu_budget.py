"""Each client has a budget of CPU time for what is refused or costly."""

from __future__ import annotations

import time

import pytest

from api.cpu_budget import BURST, FREE, REFILL, CpuBudget
from api.problems import Problem


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def burn(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_what_is_accepted_and_cheap_costs_nothing() -> None:
    budget = CpuBudget()
    for _ in range(10_000):
        with budget.checking(1):
            pass
    budget.charge(1, BURST - FREE)
    with budget.checking(1):
        pass


def test_who_has_used_up_the_budget_is_told_when_there_is_some_again() -> None:
    clock = Clock()
    budget = CpuBudget(clock=clock)
    budget.charge(1, BURST + 10 * REFILL)
    with pytest.raises(Problem) as caught, budget.checking(1):
        raise AssertionError("let in")
    assert (caught.value.status, caught.value.headers["Retry-After"]) == (429, "10")
    with budget.checking(2):
        pass
    clock.now = 10.001
    with budget.checking(1):
        pass


def test_what_is_refused_or_takes_long_is_charged() -> None:
    clock = Clock()
    budget = CpuBudget(clock=clock)
    budget.charge(1, BURST)
    with budget.checking(1):  # Nothing is left, and nothing is owed.
        burn(2 * FREE)
    with pytest.raises(Problem), budget.checking(1):
        raise AssertionError("let in")

    budget.charge(2, BURST)
    with pytest.raises(ValueError, match="refused"), budget.checking(2):
        raise ValueError("refused")
    with pytest.raises(Problem), budget.checking(2):
        raise AssertionError("let in")


def test_an_account_is_forgotten_when_it_is_full_again() -> None:
    clock = Clock()
    budget = CpuBudget(clock=clock)
    budget.charge(1, BURST)
    clock.now = BURST / REFILL
    budget.charge(2, 1.0)
    assert list(budget._accounts) == [2]


def test_the_only_client_of_an_installation_is_charged_nothing() -> None:
    budget = CpuBudget(divided=False)
    budget.charge(1, 100 * BURST)
    with budget.checking(1):
        pass
