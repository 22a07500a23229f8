"""The head and the body of an answer leave in one write, in their order, and before the connection is closed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from api.http.joined_writes import LIMIT, JoinedWrites


class Recorder:
    """Transport that records the calls that it gets."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def write(self, data: bytes) -> None:
        self.told.append(data)

    def write_eof(self) -> None:
        self.told.append("eof")

    def close(self) -> None:
        self.told.append("close")

    def is_closing(self) -> bool:
        return "close" in self.told


def told(act: Callable[[JoinedWrites], None]) -> list[object]:
    """Return the calls that the transport got within one iteration of the event loop."""

    async def run() -> list[object]:
        transport = Recorder()
        act(JoinedWrites(cast(asyncio.Transport, transport), asyncio.get_running_loop()))
        await asyncio.sleep(0)
        return transport.told

    return asyncio.run(run())


def test_writes_of_one_step_are_joined() -> None:
    def answer(transport: JoinedWrites) -> None:
        transport.write(b"head")
        transport.write(b"body")

    assert told(answer) == [b"headbody"]


def test_what_was_written_leaves_before_the_connection_closes() -> None:
    def answer(transport: JoinedWrites) -> None:
        transport.write(b"answer")
        transport.close()
        assert transport.is_closing()

    assert told(answer) == [b"answer", "close"]


def test_what_was_written_leaves_before_the_end_of_the_stream() -> None:
    def refuse(transport: JoinedWrites) -> None:
        transport.write(b"refusal")
        transport.write_eof()

    assert told(refuse) == [b"refusal", "eof"]


def test_the_next_step_writes_again() -> None:
    async def run() -> list[object]:
        transport = Recorder()
        joined = JoinedWrites(cast(asyncio.Transport, transport), asyncio.get_running_loop())
        for piece in (b"first", b"second"):
            joined.write(piece)
            await asyncio.sleep(0)
        return transport.told

    assert asyncio.run(run()) == [b"first", b"second"]


def test_a_large_answer_does_not_wait_so_that_the_transport_can_pause_it() -> None:
    def stream(transport: JoinedWrites) -> None:
        transport.write(b"head")
        transport.write(b"x" * LIMIT)
        transport.write(b"tail")

    assert told(stream) == [b"head" + b"x" * LIMIT, b"tail"]


def test_nothing_is_written_to_a_connection_that_was_lost_meanwhile() -> None:
    async def run() -> list[object]:
        transport = Recorder()
        joined = JoinedWrites(cast(asyncio.Transport, transport), asyncio.get_running_loop())
        joined.write(b"answer")
        transport.close()  # as uvloop does when the client resets the connection
        await asyncio.sleep(0)
        return transport.told

    assert asyncio.run(run()) == ["close"]
