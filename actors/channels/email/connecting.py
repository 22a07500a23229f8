"""TCP connections to a host of which some addresses may not answer (Happy Eyeballs, RFC 8305)."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any, cast

from aiohappyeyeballs import AddrInfoType, start_connection

DELAY = 0.25  # seconds until the next address is tried beside those that have not answered (RFC 8305, 8)

# Which address of a host and port answered the last time.
_answered: dict[tuple[str, int], Any] = {}


async def connect(host: str, port: int, *, timeout: float) -> socket.socket:
    """Return a non-blocking socket that is connected to the first address of `host` that answers.

    The address that answered the last time is tried first.

    Raises:
        OSError: none has answered within `timeout` seconds; the text says for each address why.
    """
    tries = _Tries()
    try:
        async with asyncio.timeout(timeout):
            found = await _resolve(host, port)
            tries.addresses = [address for *_, address in found]
            # Nothing of a loop is used there but `sock_connect`.
            loop = cast("asyncio.AbstractEventLoop", tries)
            connected = await start_connection(
                found, happy_eyeballs_delay=DELAY, loop=loop, socket_factory=tries.new_socket
            )
    except (OSError, RuntimeError, UnicodeError) as error:
        # No cause: it would only say less of the same.
        raise OSError(f"cannot connect to {host} port {port}: {tries.explain(error, timeout)}") from None
    _answered[host, port] = tries.address_of[connected]
    return connected


async def _resolve(host: str, port: int) -> list[AddrInfoType]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    last = _answered.get((host, port))
    return sorted(dict.fromkeys(found), key=lambda one: one[-1] != last)  # Stable: the rest keep their order.


class _Tries:
    """The event loop as `start_connection` uses it, which also notes what became of each address."""

    def __init__(self) -> None:
        self.addresses: list[Any] = []
        self.address_of: dict[socket.socket, Any] = {}
        self._failed: dict[Any, str] = {}

    def new_socket(self, found: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = found
        try:
            made = socket.socket(family, kind, protocol)
        except OSError as error:  # There is no IPv6 here, or there are too many open files.
            self._failed[address] = _reason(error)
            raise
        # What is written goes out at once.
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.address_of[made] = address
        return made

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        try:
            await asyncio.get_running_loop().sock_connect(sock, address)
        except (OSError, RuntimeError) as error:
            self._failed[address] = _reason(error)
            raise

    def explain(self, error: Exception, timeout: float) -> str:
        """Return why there is no connection, after this error."""
        if self.addresses:
            silent = dict.fromkeys(self.address_of.values(), f"no answer within {timeout:g} s")
            known = silent | self._failed
            return ", ".join(f"{address[0]}: {known.get(address, 'not tried')}" for address in self.addresses)
        if isinstance(error, UnicodeError):
            return "this is not a host name"
        if isinstance(error, socket.gaierror):
            return f"its address cannot be found ({error.strerror})"
        return f"its address was not found within {timeout:g} s" if isinstance(error, TimeoutError) else str(error)


def _reason(error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number).lower() if number else str(error)
