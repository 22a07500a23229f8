"""How much large bodies may hold at a time."""

from __future__ import annotations

import pytest

from api.room import SMALL, Room
from db.coalesce import Full

LARGE = SMALL + 1


def test_small_bodies_take_no_room() -> None:
    room = Room(0)
    room.guest().needs(SMALL)
    with pytest.raises(Full):
        room.guest().needs(LARGE)


def test_what_a_guest_has_taken_is_free_again_when_it_leaves() -> None:
    room = Room(LARGE)
    first, second = room.guest(), room.guest()
    first.needs(LARGE)
    with pytest.raises(Full):
        second.needs(LARGE)
    second.leave()  # It took nothing, so it gives nothing back.
    with pytest.raises(Full):
        second.needs(LARGE)
    first.leave()
    second.needs(LARGE)
    first.leave()
    with pytest.raises(Full):
        first.needs(LARGE)


def test_a_guest_that_needs_more_takes_the_difference() -> None:
    room = Room(2 * LARGE)
    guest = room.guest()
    guest.needs(LARGE)
    guest.needs(2 * LARGE)
    guest.needs(LARGE)
    guest.leave()
    room.guest().needs(2 * LARGE)
