"""Memory of large bodies is reserved, bounded and divided among clients."""

from __future__ import annotations

import pytest

from api.access.shares import Shares
from api.http.body_memory import SMALL, Reservation
from db.coalesce import Full

LARGE = SMALL + 1


def reservation(memory: Shares, client: int) -> Reservation:
    made = Reservation(memory)
    made.client = client
    return made


def test_small_bodies_reserve_nothing() -> None:
    memory = Shares("bodies", 0)
    reservation(memory, 1).need(SMALL)
    with pytest.raises(Full):
        reservation(memory, 1).need(LARGE)


def test_reserved_memory_is_free_again_after_it_was_given_back() -> None:
    memory = Shares("bodies", LARGE)
    first, second = reservation(memory, 1), reservation(memory, 2)
    first.need(LARGE)
    with pytest.raises(Full):
        second.need(LARGE)
    second.give_back()  # It reserved nothing, so it gives nothing back.
    with pytest.raises(Full):
        second.need(LARGE)
    first.give_back()
    second.need(LARGE)


def test_a_body_that_grows_reserves_the_difference() -> None:
    memory = Shares("bodies", 2 * LARGE, divided=False)
    body = reservation(memory, 1)
    body.need(LARGE)
    body.need(2 * LARGE)
    body.need(LARGE)
    body.give_back()
    reservation(memory, 1).need(2 * LARGE)


def test_one_client_cannot_reserve_all_memory_for_bodies() -> None:
    memory = Shares("bodies", 10 * LARGE)
    for _ in range(7):
        reservation(memory, 1).need(LARGE)
    with pytest.raises(Full):
        reservation(memory, 1).need(LARGE)
    reservation(memory, 2).need(LARGE)
    reservation(memory, 3).need(LARGE)
