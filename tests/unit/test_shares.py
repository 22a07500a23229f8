"""No client holds so much that others have none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.access.shares import WEIGHT, Shares
from db.coalesce import Full


def fill(shares: Shares, client: int) -> int:
    """Take for a client until it is refused; return how many it got."""
    taken = 0
    while True:
        try:
            shares.take(client)
        except Full:
            return taken
        taken += 1


def test_one_client_gets_three_quarters_and_each_next_one_a_part_of_the_rest() -> None:
    shares = Shares("streams", 1_000)
    assert [fill(shares, client) for client in range(1, 4)] == [750, 187, 47]


def test_the_only_client_of_an_installation_may_take_everything() -> None:
    assert fill(Shares("streams", 1_000, divided=False), 1) == 1_000


def test_the_only_place_is_free_for_another_client_after_it_was_given_back() -> None:
    shares = Shares("streams", 1)
    shares.take(1)
    with pytest.raises(Full):
        shares.take(2)
    shares.give_back(1)
    shares.take(2)


@given(st.integers(1, 200), st.lists(st.tuples(st.integers(1, 5), st.integers(1, 40), st.booleans()), max_size=60))
def test_shares_never_exceed_their_bounds_nor_all_shares_the_total(
    most: int, moves: list[tuple[int, int, bool]]
) -> None:
    shares, held = Shares("units", most), dict.fromkeys(range(1, 6), 0)
    for client, number, taking in moves:
        if taking:
            before = held[client]
            try:
                shares.take(client, number)
            except Full:
                continue
            held[client] += number
            assert not before or held[client] <= WEIGHT * (most - sum(held.values()))
        elif held[client]:
            shares.give_back(client, held[client])
            held[client] = 0
        assert sum(held.values()) <= most
