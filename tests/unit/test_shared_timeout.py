"""Waits of equal length end in time with one timer."""

from __future__ import annotations

import asyncio

import pytest

from api.http.shared_timeout import SharedTimeout


def test_an_answer_in_time_is_the_answer() -> None:
    async def ask() -> int:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, 7)
        return await SharedTimeout(60).bounds(future)

    assert asyncio.run(ask()) == 7


def test_unanswered_requests_time_out_one_after_the_other() -> None:
    async def ask() -> list[type[BaseException]]:
        timeout, loop = SharedTimeout(0.02), asyncio.get_running_loop()
        first = timeout.bounds(loop.create_future())
        answered = timeout.bounds(loop.create_future())
        answered.set_result(1)
        with pytest.raises(TimeoutError):
            await first
        second = timeout.bounds(loop.create_future())
        with pytest.raises(TimeoutError):
            await second
        assert answered.result() == 1
        return [type(future.exception() or KeyError()) for future in (first, second)]

    assert asyncio.run(ask()) == [TimeoutError, TimeoutError]


def test_an_answered_request_is_no_longer_timed() -> None:
    async def ask() -> int:
        timeout, loop = SharedTimeout(60), asyncio.get_running_loop()
        for number in range(100):
            timeout.bounds(loop.create_future()).set_result(number)
        return len(timeout._waits)

    assert asyncio.run(ask()) == 1


def test_a_cancelled_request_is_left_alone() -> None:
    async def ask() -> bool:
        timeout, loop = SharedTimeout(0.01), asyncio.get_running_loop()
        gone, waits = timeout.bounds(loop.create_future()), timeout.bounds(loop.create_future())
        gone.cancel()
        with pytest.raises(TimeoutError):
            await waits
        return gone.cancelled()

    assert asyncio.run(ask())
