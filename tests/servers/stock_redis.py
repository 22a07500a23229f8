"""A Redis as the distribution ships it."""

from __future__ import annotations

import os
from pathlib import Path

import redis

from tests.eventually import eventually
from tests.processes import Group
from tests.servers.programs import program
from tests.system import free_port


class StockRedis:
    """A redis-server on loopback that keeps its data in `directory`; `options` as on its command line."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory, self.port = directory, free_port()
        self._options = options
        self._group: Group | None = None

    @property
    def url(self) -> str:
        """REDIS_URL of its database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def client(self) -> redis.Redis:
        """A new client; close it after use."""
        return redis.Redis.from_url(self.url)

    def start(self) -> None:
        """Run it, and return when it answers."""
        command = [program("redis-server", "redis-server"), "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--dir", str(self.directory), *self._options]
        if "--cluster-enabled" in self._options:  # By default it is another 10,000, which may be in use.
            command += ["--cluster-port", str(free_port())]
        log = self.directory / f"redis-{self.port}.log"
        self._group = Group(command, {"PATH": os.environ["PATH"]}, log, self.directory)
        eventually(self._answers, saying=log.read_text)

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._group is not None
        return self._group.pid

    def kill(self) -> None:
        """SIGKILL it."""
        if self._group:
            self._group.kill()
            self._group = None

    def _answers(self) -> bool:
        try:
            with self.client as client:
                client.ping()
        except redis.AuthenticationError:
            return True
        except redis.ConnectionError:
            return False
        return True
