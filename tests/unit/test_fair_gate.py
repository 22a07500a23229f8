"""Clients are admitted in turns, and one never has all places."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from api.access.fair_gate import FairGate
from db.coalesce import Full


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(coroutine)


async def settled() -> None:
    """Let everything run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_one_of_several_clients_never_gets_all_places() -> None:
    async def scene() -> None:
        gate = FairGate("read", 3, 100)
        greedy = [asyncio.create_task(gate.enter(1)) for _ in range(10)]
        await settled()
        assert sum(task.done() for task in greedy) == 2
        await asyncio.wait_for(gate.enter(2), 1)
        for task in greedy:
            task.cancel()

    run(scene())


def test_a_late_client_is_next_although_many_requests_of_another_wait() -> None:
    async def scene() -> None:
        gate, order = FairGate("read", 2, 100), list[int]()

        async def read(client: int) -> None:
            await gate.enter(client)
            order.append(client)

        await gate.enter(1)
        await gate.enter(2)
        tasks = [asyncio.create_task(read(1)) for _ in range(5)]
        await settled()
        tasks.append(asyncio.create_task(read(3)))
        await settled()
        gate.leave(2)
        await settled()
        assert order == [3]
        for task in tasks:
            task.cancel()

    run(scene())


def test_a_cancelled_wait_takes_no_place() -> None:
    async def scene() -> None:
        gate = FairGate("read", 1, 1)
        await gate.enter(1)
        waiting = asyncio.create_task(gate.enter(2))
        await settled()
        with pytest.raises(Full):
            await gate.enter(3)
        gate.leave(1)
        waiting.cancel()  # In the same turn of the loop in which its place came.
        await settled()
        await asyncio.wait_for(gate.enter(3), 1)

    run(scene())


def test_the_only_client_of_an_installation_may_use_all_places() -> None:
    async def scene() -> None:
        gate = FairGate("read", 2, 1, divided=False)
        await asyncio.wait_for(gate.enter(1), 1)
        await asyncio.wait_for(gate.enter(1), 1)

    run(scene())


def test_a_cancelled_wait_blocks_no_client() -> None:
    async def scene() -> None:
        gate = FairGate("read", 3, 100)
        assert [gate.enter_at_once(1) for _ in range(3)] == [True, True, False]
        tasks = [asyncio.create_task(gate.enter(1)) for _ in range(3)]
        await settled()
        for task in tasks:
            task.cancel()
        await settled()
        await asyncio.wait_for(gate.enter(2), 1)
        for client in (1, 1, 2):
            gate.leave(client)
        assert gate.enter_at_once(3)

    run(scene())
