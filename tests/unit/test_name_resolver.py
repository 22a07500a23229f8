"""Look-ups that take long delay only the callers that need them."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from actors.channels.webhook.name_resolver import LOOKUPS, Addresses, NameResolver


class Names:
    """A resolver of the system that answers only once it is let."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.answering = threading.Event()
        self._changed = threading.Condition()

    def look_up(self, host: str, port: int) -> Addresses:
        with self._changed:
            self.asked[host] += 1
            self._changed.notify_all()
        self.answering.wait(20)
        if host.startswith("unknown"):
            raise socket.gaierror(-2, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))]

    async def asked_for(self, count: int) -> None:
        """Return once so many look-ups have begun."""

        def wait() -> None:
            with self._changed:
                assert self._changed.wait_for(lambda: self.asked.total() >= count, 10)

        await asyncio.to_thread(wait)


@pytest.fixture
def names() -> Iterator[Names]:
    names = Names()
    yield names
    names.answering.set()


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(coroutine)


def test_callers_that_ask_for_one_name_share_a_look_up(names: Names) -> None:
    async def ask() -> None:
        resolver = NameResolver(names.look_up)
        asking = [asyncio.create_task(resolver.addresses("a", port)) for port in (443, 443, 443, 8443)]
        await names.asked_for(2)
        names.answering.set()
        found = await asyncio.gather(*asking)
        assert [address[0][4] for address in found] == [("a", 443)] * 3 + [("a", 8443)]
        assert names.asked["a"] == 2
        await resolver.addresses("a", 443)
        assert names.asked["a"] == 3, "an old answer was given"

    run(ask())


def test_a_cancelled_caller_does_not_cancel_the_look_up_of_others(names: Names) -> None:
    async def ask() -> None:
        resolver = NameResolver(names.look_up)
        first, second = (asyncio.create_task(resolver.addresses("a", 1)) for _ in range(2))
        await names.asked_for(1)
        first.cancel()
        names.answering.set()
        assert await second
        assert first.cancelled()

    run(ask())


def test_look_ups_that_hang_use_a_limited_number_of_threads(names: Names) -> None:
    async def ask() -> None:
        resolver = NameResolver(names.look_up)
        asking = [asyncio.create_task(resolver.addresses(f"{n}.example", 1)) for n in range(LOOKUPS + 5)]
        await names.asked_for(LOOKUPS)
        assert sum(thread.name == "look-up" for thread in threading.enumerate()) == LOOKUPS
        for hanging in asking[:LOOKUPS]:
            hanging.cancel()  # Its thread goes on, and so there is no room yet.
        late = asyncio.create_task(resolver.addresses("late.example", 1))
        await asyncio.wait(asking[:LOOKUPS])
        assert names.asked.total() == LOOKUPS
        names.answering.set()
        await asyncio.gather(late, *asking[LOOKUPS:])

    run(ask())


def test_an_unknown_name_fails_for_all_callers_and_is_forgotten(names: Names, caplog: pytest.LogCaptureFixture) -> None:
    async def ask() -> None:
        resolver = NameResolver(names.look_up)
        asking = [asyncio.create_task(resolver.addresses("unknown", 1)) for _ in range(2)]
        left = asyncio.create_task(resolver.addresses("unknown.too", 1))
        await names.asked_for(2)
        left.cancel()
        names.answering.set()
        errors = await asyncio.gather(*asking, return_exceptions=True)
        assert [type(error) for error in errors] == [socket.gaierror] * 2
        with pytest.raises(socket.gaierror):
            await resolver.addresses("unknown", 1)

    run(ask())
    assert not caplog.text  # No "exception was never retrieved", though one has left.


def test_closing_the_resolver_waits_for_no_look_up(names: Names) -> None:
    async def ask() -> None:
        resolver = NameResolver(names.look_up)
        asking = asyncio.create_task(resolver.addresses("a", 1))
        await names.asked_for(1)
        resolver.close()
        with pytest.raises(asyncio.CancelledError):
            await asking

    run(ask())
    assert not names.answering.is_set()
