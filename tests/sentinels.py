"""A Redis that fails over: a master, its replica, and a Sentinel that promotes the replica within a second."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from cli.servers import locate
from tests.eventually import eventually
from tests.processes import Group
from tests.system import free_port

MASTER = "notifications"
PASSWORD = "pass-word"


class Watched:
    """Two servers, of which the Sentinel names one the master."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ports = free_port(), free_port()
        self._sentinel_port = free_port()
        self._groups = {port: self._server(port) for port in self._ports}
        # A Sentinel asks a master for its replicas every ten seconds: there should be one at the first time.
        eventually(lambda: self._told(self._ports[0], "connected_slaves") == 1, within=15, saying="a replica")
        self._sentinel()
        eventually(lambda: self._replicas() == 1, within=15, saying="the Sentinel knows of the replica")

    @property
    def url(self) -> str:
        """For REDIS_URL."""
        return f"redis+sentinel://:{PASSWORD}@127.0.0.1:{self._sentinel_port}/{MASTER}/0"

    @property
    def master(self) -> int:
        """The port of whom the Sentinel calls the master now."""
        with self._asking() as client:
            return int(client.sentinel_get_master_addr_by_name(MASTER)[1])

    def kill_master(self) -> int:
        """SIGKILL; returns its port once another one is the master."""
        port = self.master
        self._groups[port].kill()
        eventually(lambda: self.master != port, within=20, saying="another master")
        return port

    def bring_back(self, port: int) -> None:
        """It comes up as what it was: a master, whom the Sentinel calls one no more."""
        self._groups[port] = self._server(port)
        eventually(lambda: self._told(port, "role") == "master", within=10, saying="the old master")

    def stop(self) -> None:
        """All of them."""
        for group in self._groups.values():
            group.kill()

    def _server(self, port: int) -> Group:
        words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._directory)]
        words += ["--requirepass", PASSWORD, "--masterauth", PASSWORD, "--repl-diskless-sync-delay", "0"]
        if port == self._ports[1] and not hasattr(self, "_groups"):
            words += ["--replicaof", f"127.0.0.1 {self._ports[0]}"]
        return self._start(f"valkey-{port}", *words)

    def _sentinel(self) -> None:
        # A Sentinel writes what it learns into its own file.
        file = self._directory / "sentinel.conf"
        file.write_text(
            f"port {self._sentinel_port}\nbind 127.0.0.1\ndir {self._directory}\n"
            f"sentinel monitor {MASTER} 127.0.0.1 {self._ports[0]} 1\n"
            f"sentinel auth-pass {MASTER} {PASSWORD}\n"
            f"sentinel down-after-milliseconds {MASTER} 500\nsentinel failover-timeout {MASTER} 2000\n"
        )
        self._groups[self._sentinel_port] = self._start("sentinel", str(file), "--sentinel")

    def _start(self, name: str, *words: str) -> Group:
        environ = {"PATH": os.environ["PATH"]}
        return Group([str(locate.valkey()), *words], environ, self._directory / f"{name}.log")

    def _replicas(self) -> int:
        try:
            with self._asking() as client:
                return sum(not replica["is_disconnected"] for replica in client.sentinel_slaves(MASTER))
        except redis.RedisError:
            return 0

    def _told(self, port: int, name: str) -> object:
        """Return a field of a server's replication info, or None if it does not answer."""
        try:
            with redis.Redis(port=port, password=PASSWORD) as client:
                return client.info("replication")[name]
        except redis.RedisError:
            return None

    def _asking(self) -> redis.Redis:
        return redis.Redis(port=self._sentinel_port, decode_responses=True, socket_timeout=5)


@contextmanager
def watched(directory: Path) -> Iterator[Watched]:
    """Running, until the end of the block."""
    servers = Watched(directory)
    try:
        yield servers
    finally:
        servers.stop()
