"""Connecting to hosts of which some addresses refuse or never answer, on both event loops."""

from __future__ import annotations

import asyncio
import errno
import gc
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any, TypeVar
from unittest import mock

import pytest
import uvloop

from actors.channels.email import connecting
from actors.channels.email.connecting import connect

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]

HOST = "mail.example.com"
LONG = 60.0  # seconds; nothing here waits for so long unless it is broken


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run[Any]:
    """Runs a coroutine on an event loop of its own."""
    connecting._answered.clear()
    return request.param  # type: ignore[no-any-return]


@contextmanager
def listening(address: str, port: int = 0) -> Iterator[int]:
    """A server that accepts connections to this address; its port."""
    with socket.create_server((address, port), backlog=100) as server:
        yield server.getsockname()[1]


@contextmanager
def silent(address: str, port: int) -> Iterator[None]:
    """An address that answers no SYN, because its queue of connections is full."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server((address, port), backlog=0))
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield


def make_room(server: socket.socket) -> None:
    """Take the first connection out of its queue."""
    server.accept()[0].close()


@contextmanager
def resolving(*addresses: str) -> Iterator[None]:
    """HOST has these addresses, in this order."""

    async def found(_loop: object, host: str, port: int, **how: Any) -> list[Any]:
        names = addresses if host == HOST else (host,)
        return [info for name in names for info in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)]

    with ExitStack() as stack:
        for loop in (asyncio.BaseEventLoop, uvloop.Loop):
            stack.enter_context(mock.patch.object(loop, "getaddrinfo", found))
        yield


async def peer(port: int, timeout: float = LONG) -> str:
    """Connect, and return which address has answered."""
    with closing(await connect(HOST, port, timeout=timeout)) as connected:
        return str(connected.getpeername()[0])


def refusal(run: Run[Any], port: int, timeout: float = LONG, host: str = HOST) -> str:
    """Why there is no connection."""
    with pytest.raises(OSError, match=r"^cannot connect to ") as failed:
        run(connect(host, port, timeout=timeout))
    start, _, reason = str(failed.value).partition(": ")
    assert start == f"cannot connect to {host} port {port}"
    return reason


def test_the_connection_is_non_blocking(run: Run[Any]) -> None:
    with listening("127.0.0.1") as port, closing(run(connect("127.0.0.1", port, timeout=LONG))) as connected:
        assert connected.getblocking() is False
        assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert connected.getpeername() == ("127.0.0.1", port)


def test_if_the_first_address_does_not_answer_the_next_is_tried(run: Run[Any]) -> None:
    with (
        listening("127.0.0.3") as port,
        silent("127.0.0.2", port),
        resolving("127.0.0.2", "127.0.0.3"),
    ):
        assert run(peer(port)) == "127.0.0.3"


def test_an_address_that_answers_is_found_among_several_that_do_not(run: Run[Any]) -> None:
    addresses = ["127.0.0.2", "127.0.0.4", "127.0.0.5", "127.0.0.3"]
    with listening("127.0.0.3") as port, ExitStack() as stack, resolving(*addresses):
        for address in addresses[:3]:
            stack.enter_context(silent(address, port))
        assert run(peer(port)) == "127.0.0.3"


def test_after_a_refusal_the_next_address_is_tried_at_once(run: Run[Any]) -> None:
    with (
        mock.patch.object(connecting, "DELAY", 2 * LONG),
        listening("127.0.0.3") as port,
        resolving("127.0.0.2", "127.0.0.3"),
    ):
        assert run(peer(port)) == "127.0.0.3"


def test_an_address_that_answers_late_is_waited_for_while_others_are_tried(run: Run[Any]) -> None:
    """The first one's queue has room again after the second has refused."""

    async def late(port: int, queue: ExitStack) -> str:
        asyncio.get_running_loop().call_later(4 * connecting.DELAY, queue.close)
        return await peer(port)

    with socket.create_server(("127.0.0.2", 0), backlog=0) as server, ExitStack() as queue:
        port = server.getsockname()[1]
        for _ in range(8):
            waiting = queue.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        queue.callback(make_room, server)
        with resolving("127.0.0.2", "127.0.0.4"):
            assert run(late(port, queue)) == "127.0.0.2"


def test_the_address_that_answered_is_tried_first_the_next_time(run: Run[Any]) -> None:
    async def both(port: int) -> list[str]:
        first = await peer(port)
        with mock.patch.object(connecting, "DELAY", 2 * LONG):
            return [first, await peer(port)]

    with (
        listening("127.0.0.3") as port,
        silent("127.0.0.2", port),
        resolving("127.0.0.2", "127.0.0.3"),
    ):
        assert run(both(port)) == ["127.0.0.3"] * 2


def test_a_remembered_address_that_fails_is_followed_by_another(run: Run[Any]) -> None:
    async def moving(port: int, server: ExitStack) -> list[str]:
        before = await peer(port)
        server.close()
        with socket.create_server(("127.0.0.4", port)):
            return [before, await peer(port), await peer(port)]

    with ExitStack() as server, resolving("127.0.0.2", "127.0.0.3", "127.0.0.4"):
        port = server.enter_context(listening("127.0.0.3"))
        assert run(moving(port, server)) == ["127.0.0.3", "127.0.0.4", "127.0.0.4"]


def test_an_address_that_was_removed_from_the_dns_is_not_tried(run: Run[Any]) -> None:
    with listening("127.0.0.3") as port, socket.create_server(("127.0.0.4", port)):
        with resolving("127.0.0.3"):
            assert run(peer(port)) == "127.0.0.3"
        with resolving("127.0.0.4"):
            assert run(peer(port)) == "127.0.0.4"


def test_address_that_answered_is_remembered_for_each_host_and_port(run: Run[Any]) -> None:
    with listening("127.0.0.3") as port, listening("127.0.0.2") as other, resolving("127.0.0.2", "127.0.0.3"):
        assert run(peer(port)) == "127.0.0.3"
        assert run(peer(other)) == "127.0.0.2"
        assert {key: address[0] for key, address in connecting._answered.items()} == {
            (HOST, port): "127.0.0.3",
            (HOST, other): "127.0.0.2",
        }


def test_if_no_address_answers_each_is_reported_with_its_reason(run: Run[Any]) -> None:
    with listening("127.0.0.3") as port, silent("127.0.0.2", port), resolving("127.0.0.2", "127.0.0.4"):
        assert refusal(run, port, 1) == "127.0.0.2: no answer within 1 s, 127.0.0.4: connection refused"


def test_an_address_not_tried_for_lack_of_time_is_reported_as_such(run: Run[Any]) -> None:
    with (
        mock.patch.object(connecting, "DELAY", LONG),
        listening("127.0.0.3") as port,
        silent("127.0.0.2", port),
        resolving("127.0.0.2", "127.0.0.3"),
    ):
        assert refusal(run, port, 0.5) == "127.0.0.2: no answer within 0.5 s, 127.0.0.3: not tried"


def test_a_single_address_that_refuses_is_reported(run: Run[Any]) -> None:
    with listening("127.0.0.3") as port:
        assert refusal(run, port, host="127.0.0.4") == "127.0.0.4: connection refused"


@contextmanager
def lacking(missing: socket.AddressFamily) -> Iterator[None]:
    """Make sockets of one family fail, as on a kernel without IPv6."""
    made = socket.socket

    class Lacking(made):  # type: ignore[misc, valid-type]
        def __init__(self, family: int = -1, *rest: Any, **named: Any) -> None:
            if family == missing:
                raise OSError(errno.EAFNOSUPPORT, "not supported")
            super().__init__(family, *rest, **named)

    with mock.patch.object(socket, "socket", Lacking):
        yield


@pytest.mark.parametrize(("missing", "here"), [(socket.AF_INET6, "127.0.0.1"), (socket.AF_INET, "::1")])
def test_a_machine_without_ipv4_or_ipv6_uses_the_other(run: Run[Any], missing: socket.AddressFamily, here: str) -> None:
    with listening_on_both() as port, resolving("::1", "127.0.0.1"), lacking(missing):
        assert run(peer(port)) == here


def test_a_missing_address_family_is_reported(run: Run[Any]) -> None:
    with lacking(socket.AF_INET6):
        assert refusal(run, 25, host="::1") == "::1: address family not supported by protocol"


@contextmanager
def listening_on_both() -> Iterator[int]:
    with listening("127.0.0.1") as port, socket.create_server(("::1", port), family=socket.AF_INET6):
        yield port


def test_ipv6_and_ipv4_addresses_are_tried_alternately(run: Run[Any]) -> None:
    """Several addresses of a family that leads nowhere do not use up the time."""
    with (
        listening("127.0.0.3") as port,
        socket.create_server(("::1", port), family=socket.AF_INET6),
        ExitStack() as stack,
        resolving("127.0.0.2", "127.0.0.4", "::1"),
    ):
        for address in ("127.0.0.2", "127.0.0.4"):
            stack.enter_context(silent(address, port))
        assert run(peer(port)) == "::1"


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("no-such-host.invalid", "its address cannot be found ("),
        ("a" * 64 + ".example", "this is not a host name"),
        ("a..example", "this is not a host name"),
    ],
)
def test_a_name_that_has_no_address_is_reported(run: Run[Any], host: str, reason: str) -> None:
    assert refusal(run, 25, host=host).startswith(reason)


def test_a_name_server_that_does_not_answer_is_reported(run: Run[Any]) -> None:
    async def never(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    with ExitStack() as stack:
        for loop in (asyncio.BaseEventLoop, uvloop.Loop):
            stack.enter_context(mock.patch.object(loop, "getaddrinfo", never))
        assert refusal(run, 25, 0.2) == "its address was not found within 0.2 s"


def test_a_cancelled_connect_leaves_no_socket_open(run: Run[Any]) -> None:
    async def cancelled(port: int) -> None:
        task = asyncio.create_task(connect(HOST, port, timeout=LONG))
        done, _ = await asyncio.wait([task], timeout=2 * connecting.DELAY)
        assert not done
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with (
        listening("127.0.0.3") as port,
        silent("127.0.0.2", port),
        silent("127.0.0.4", port),
        resolving("127.0.0.2", "127.0.0.4"),
    ):
        run(cancelled(port))
        gc.collect()  # A socket that was left open is a ResourceWarning, which fails the test.


def test_many_simultaneous_connects_each_get_a_connection(run: Run[Any]) -> None:
    async def many(port: int) -> list[str]:
        return await asyncio.gather(*(peer(port) for _ in range(20)))

    with (
        listening("127.0.0.3") as port,
        silent("127.0.0.2", port),
        resolving("127.0.0.2", "127.0.0.3"),
    ):
        assert run(many(port)) == ["127.0.0.3"] * 20
