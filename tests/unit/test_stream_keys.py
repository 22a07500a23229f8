"""Streams end when their key ends, and only then."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from api.access.auth import Caller
from api.streaming import listeners
from api.streaming.listener import REVOKED, End, Listener
from api.streaming.listeners import Listeners
from settings import read


class Open(Listener):
    """A stream without a request."""

    def __init__(self, key_id: int) -> None:
        self.caller = Caller(key_id=key_id)
        self.said_at, self.until, self.writing_since = 1e12, 1e12, 1e12
        self.ends: list[End] = []

    def end(self, why: End) -> None:
        self.ends.append(why)


def test_a_stream_opened_during_a_key_lookup_is_not_taken_for_revoked(monkeypatch: pytest.MonkeyPatch) -> None:
    revoked, live, late = Open(1), Open(2), Open(3)

    async def care() -> None:
        with ThreadPoolExecutor(1) as thread:
            all_of_them = Listeners(read({"STREAM_SECONDS": "0.1"}), thread)
            loop, asked = asyncio.get_running_loop(), asyncio.Event()

            def look_up(ids: Collection[int]) -> frozenset[int]:
                assert set(ids) <= {1, 2, 3}
                loop.call_soon_threadsafe(all_of_them.add, late)
                loop.call_soon_threadsafe(asked.set)
                return frozenset({2})

            monkeypatch.setattr(listeners, "_live", look_up)
            all_of_them.add(revoked)
            all_of_them.add(live)
            await asyncio.wait_for(asked.wait(), 10)
            await asyncio.to_thread(lambda: None)
            await _until(lambda: revoked.ends)
            for one in (revoked, live, late):
                all_of_them.remove(one)
            await _until(lambda: all_of_them._caring is None)

    asyncio.run(care())
    assert (revoked.ends, live.ends, late.ends) == ([REVOKED], [], [])


async def _until(done: Any) -> None:
    async with asyncio.timeout(10):
        while not done():
            await asyncio.sleep(0.001)
