"""TCP connections to a host of which some addresses may not answer (Happy Eyeballs, RFC 8305)."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from aiohappyeyeballs import AddrInfoType, start_connection

DELAY = 0.25  # seconds until the next address is tried while earlier ones have not answered (RFC 8305, section 8)

# The address that answered last, by host and port.
_answered: dict[tuple[str, int], Any] = {}


async def connect(host: str, port: int, *, timeout: float) -> socket.socket:
    """Return a non-blocking socket that is connected to the first address of `host` that answers.

    The address that answered last time is tried first.

    Raises:
        OSError: No address answered within `timeout` seconds. The text gives the reason for each address.
    """
    race = _Race(timeout)
    try:
        async with asyncio.timeout(timeout):
            connected, address = await race.run(await _resolve(host, port))
    except (OSError, RuntimeError, UnicodeError) as error:
        # The text already contains everything that the cause would say.
        raise OSError(f"cannot connect to {host} port {port}: {race.explain(error)}") from None
    _answered[host, port] = address
    return connected


async def _resolve(host: str, port: int) -> list[AddrInfoType]:
    """Return the addresses in the order in which to try them: families alternate (RFC 8305, section 4)."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    last = _answered.get((host, port))
    families: dict[int, list[AddrInfoType]] = {}
    for info in sorted(dict.fromkeys(found), key=lambda info: info[-1] != last):
        families.setdefault(info[0], []).append(info)
    return [info for turn in zip_longest(*families.values()) for info in turn if info is not None]


class _Race:
    """Connection attempts to several addresses, of which the first to succeed wins.

    The next attempt starts when one has failed, or DELAY seconds after the one before.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._reasons: dict[Any, str] = {}  # why there is no connection, by address

    async def run(self, infos: Sequence[AddrInfoType]) -> tuple[socket.socket, Any]:
        """Return the connected socket and its address.

        Raises:
            OSError: Every attempt failed.
        """
        self._reasons = {address: "not tried" for *_, address in infos}
        waiting = deque(infos)
        running: set[asyncio.Task[tuple[socket.socket, Any]]] = set()
        try:
            while waiting or running:
                if waiting:
                    running.add(asyncio.create_task(self._try(waiting.popleft())))
                delay = DELAY if waiting else None
                done, _ = await asyncio.wait(running, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    running.remove(task)
                    if task.exception() is None:
                        return task.result()
        finally:
            for task in running:
                task.cancel()
                task.add_done_callback(_close)
        raise OSError("no address answered")

    async def _try(self, info: AddrInfoType) -> tuple[socket.socket, Any]:
        address = info[-1]
        self._reasons[address] = f"no answer within {self._timeout:g} s"
        try:
            return await start_connection([info], socket_factory=_new_socket), address
        except (OSError, RuntimeError) as error:
            self._reasons[address] = _reason(error)
            raise

    def explain(self, error: Exception) -> str:
        """Return why there is no connection, given the error that ended the race or the lookup before it."""
        if self._reasons:
            return ", ".join(f"{address[0]}: {reason}" for address, reason in self._reasons.items())
        if isinstance(error, UnicodeError):
            return "this is not a host name"
        if isinstance(error, socket.gaierror):
            return f"its address cannot be found ({error.strerror})"
        if isinstance(error, TimeoutError):
            return f"its address was not found within {self._timeout:g} s"
        return str(error)


def _new_socket(info: AddrInfoType) -> socket.socket:
    family, kind, protocol, *_ = info
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # Disable Nagle's algorithm.
    return made


def _close(lost: asyncio.Task[tuple[socket.socket, Any]]) -> None:
    """Close the socket of an attempt that succeeded after another one had won."""
    if not lost.cancelled() and lost.exception() is None:
        lost.result()[0].close()


def _reason(error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number).lower() if number else str(error)
