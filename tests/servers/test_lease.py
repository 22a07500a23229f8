"""Processes that share the connections to a server through the distribution's Redis, and are killed, as it is."""

from __future__ import annotations

import selectors
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import redis

from actors.channels.lease import ConnectionLease
from tests.environment import cleared
from tests.eventually import eventually
from tests.processes import ROOT, Group
from tests.servers.redis_parts import redis_server
from tests.servers.test_redis_acl import NAMESPACE, rights, url

EXPIRES = 5.0  # seconds; a busy machine may stop a process for one or two


class CountingServer:
    """Accepts connections; knows how many are open, from which process, and how many were at most."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1_000)
        self.port: int = self._listener.getsockname()[1]
        self._stopping, self._stop = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        for one in (self._listener, self._stopping):
            self._selector.register(one, selectors.EVENT_READ)
        self._open: set[socket.socket] = set()
        self.most = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def open(self) -> int:
        return len(self._open)

    def stop(self) -> None:
        self._stop.close()
        self._thread.join(10)
        for one in (*self._open, self._listener, self._stopping):
            one.close()
        self._selector.close()

    def _run(self) -> None:
        while True:
            ready = {key.fileobj for key, _ in self._selector.select()}
            if self._stopping in ready:
                return
            # A connection that was closed before a new one was opened counts as closed.
            for key, _ in self._selector.select(0):
                if key.fileobj in self._open:
                    self._selector.unregister(key.fileobj)
                    self._open.discard(key.fileobj)
                    key.fileobj.close()
            if self._listener in ready:
                one, _ = self._listener.accept()
                self._open.add(one)
                self._selector.register(one, selectors.EVENT_READ)
                self.most = max(self.most, len(self._open))


@pytest.fixture
def counting() -> Iterator[CountingServer]:
    server = CountingServer()
    yield server
    server.stop()


Starting = Callable[..., Group]


@pytest.fixture
def starting(tmp_path: Path, counting: CountingServer) -> Iterator[Starting]:
    """Starts processes that hold connections; what is left of them is killed in the end."""
    started: list[Group] = []

    def start(redis_url: str, connections: int = 20, wanted: int = 100) -> Group:
        words = [redis_url, str(counting.port), str(connections), str(wanted), str(EXPIRES)]
        environ = cleared() | {"REDIS_URL": redis_url, "PYTHONPATH": str(ROOT)}
        log = tmp_path / f"{len(started)}.log"
        started.append(Group(["python", "-m", "tests.servers.lease_holder", *words], environ, log))
        return started[-1]

    yield start
    for group in started:
        group.kill()


def by_process(groups: list[Group], port: int) -> list[int]:
    """Return the number of connections to this port that each group has open."""
    inodes = Counter[int]()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[2] == f"0100007F:{port:04X}" and words[3] == "01":
            inodes[int(words[9])] += 1
    return [sum(inodes[inode] for inode in _sockets(group)) for group in groups]


def _sockets(group: Group) -> Iterator[int]:
    for pid in group.members:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # Closed by now.
                if (name := str(link.readlink())).startswith("socket:["):
                    yield int(name[8:-1])


def until(groups: list[Group], port: int, shares: list[int], sorting: bool = False) -> None:
    def have() -> bool:
        found = by_process(groups, port)
        return (sorted(found) if sorting else found) == shares

    eventually(have, within=60, every=0.1, saying=lambda: by_process(groups, port))


def test_new_processes_get_a_share_and_a_killed_one_leaves_its_share(
    stock_redis_url: str, counting: CountingServer, starting: Starting
) -> None:
    groups = [starting(stock_redis_url)]
    until(groups, counting.port, [20])
    groups += [starting(stock_redis_url) for _ in range(3)]
    until(groups, counting.port, [5] * 4)
    groups.pop().kill()
    until(groups, counting.port, [6, 7, 7], sorting=True)
    assert counting.most == 20


def test_processes_started_at_the_same_instant_never_have_more_than_all(
    stock_redis_url: str, counting: CountingServer, starting: Starting
) -> None:
    groups = [starting(stock_redis_url, 10) for _ in range(5)]
    until(groups, counting.port, [2] * 5)
    assert counting.most <= 10


def test_processes_share_connections_again_after_a_flush_and_a_restart_of_redis(
    counting: CountingServer, starting: Starting
) -> None:
    with redis_server() as server:
        groups = [starting(server.url) for _ in range(2)]
        until(groups, counting.port, [10, 10])
        with server.client as client:
            client.flushall()
            client.script_flush()
            eventually(lambda: client.exists(f"ours:connections:127.0.0.1:{counting.port}"))
        until(groups, counting.port, [10, 10])
        server.kill()
        until(groups, counting.port, [10, 10])
        server.start()
        with server.client as client:
            eventually(lambda: client.exists(f"ours:connections:127.0.0.1:{counting.port}"), within=30)
        until(groups, counting.port, [10, 10])
        groups.pop().kill()
        until(groups, counting.port, [20])
    assert counting.most == 20


def test_without_redis_a_process_with_few_connections_gets_its_share(
    counting: CountingServer, starting: Starting
) -> None:
    with redis_server() as server:
        busy, idle = starting(server.url), starting(server.url, wanted=1)
        until([busy, idle], counting.port, [19, 1])
        server.kill()
        until([busy, idle], counting.port, [10, 1])
    assert counting.most <= 20


def test_a_suspended_process_loses_its_share_and_gets_it_back(
    stock_redis_url: str, counting: CountingServer, starting: Starting
) -> None:
    groups = [starting(stock_redis_url) for _ in range(2)]
    until(groups, counting.port, [10, 10])
    groups[0].signal_all(signal.SIGSTOP)
    try:
        until(groups[1:], counting.port, [20])
    finally:
        groups[0].signal_all(signal.SIGCONT)
    until(groups, counting.port, [10, 10])


def test_the_documented_redis_rights_are_enough() -> None:
    with redis_server() as server, redis.Redis.from_url(url(server, rights())) as client:
        held = ConnectionLease(client, partial(str, NAMESPACE), "mail.example.com:587", 20)
        other = ConnectionLease(client, partial(str, NAMESPACE), "mail.example.com:587", 20)
        assert [held.renew(20, 0), other.renew(20, 0), held.renew(20, 20)] == [20, 0, 10]
        held.give_back()
        assert other.renew(20, 0) == 20


def test_without_a_redis_right_a_process_uses_the_share_without_redis() -> None:
    with redis_server() as server:
        words = [word for word in rights() if word != "+time"]
        with redis.Redis.from_url(url(server, words)) as client:
            held = ConnectionLease(client, partial(str, NAMESPACE), "mail.example.com:587", 20)
            held.processes = 4
            assert held.renew(20, 0) == 5
            held.give_back()


def test_with_a_full_redis_a_process_uses_the_share_without_redis() -> None:
    with redis_server("--maxmemory", "1mb") as server, server.client as client:
        held = ConnectionLease(client, partial(str, NAMESPACE), "mail.example.com:587", 20)
        held.processes = 4
        assert held.renew(20, 0) == 5
