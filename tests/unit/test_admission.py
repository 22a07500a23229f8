"""Admission to the limits: each admitted request is settled, however it ends."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from falcon.asgi import Response

from api.access.counters import Whose
from api.access.limits import Admission, Bounds, Limits
from api.access.windows import Day


class Settled(list[int]):
    """Notes how many were stored, where Limits would."""

    def settle(self, _admission: Admission, stored: int) -> None:
        self.append(stored)


def admission(settled: Settled) -> Admission:
    return Admission(cast(Limits, settled), Bounds(1, Whose("1", None, 5), 100), 3, (Day(5, 3, 60.0),))


def test_stored_notifications_stay_counted_and_are_reported_in_the_headers() -> None:
    settled, resp = Settled(), Response()
    with admission(settled) as let_in:
        let_in.stored(2, resp)

    assert settled == [2]
    assert (resp.get_header("RateLimit"), resp.get_header("RateLimit-Policy")) == (
        '"daily";r=2;t=60',
        '"daily";q=5;w=86400',
    )


@pytest.mark.parametrize(("end", "counted"), [(ValueError, 0), (asyncio.CancelledError, 3)])
def test_an_error_gives_the_place_back_unless_the_request_was_abandoned(end: Any, counted: int) -> None:
    settled = Settled()
    with pytest.raises(end), admission(settled):
        raise end

    assert settled == [counted]
