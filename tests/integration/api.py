"""The API alone: gunicorn on a database and a Redis, and a client that checks each of its answers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from tests.client import Client
from tests.contract import CheckedClient, Contract
from tests.system import System

NOWHERE = "smtp://127.0.0.1:9"  # discard; nothing here sends mail


class Api(System):
    """A System without workers."""

    @cached_property
    def contract(self) -> Contract:
        """Contract that the server publishes at /openapi.json."""
        return Contract(Client(self.port).get("/openapi.json").json)

    @property
    def client(self) -> CheckedClient:
        """A new client, which fails on answers that are not documented."""
        return CheckedClient(self.port, self.contract)

    @property
    def log(self) -> str:
        """Everything that gunicorn and its workers have logged."""
        return (self.directory / "api.log").read_text()

    @property
    def events(self) -> list[str]:
        """The lines of the log."""
        return self.log.splitlines()


@contextmanager
def running(database_url: str, redis_url: str, *, processes: int = 1, **settings: object) -> Iterator[Api]:
    """An API with these settings until the end of the block; fails if it has logged an error by then."""
    with tempfile.TemporaryDirectory() as directory:
        api = Api(Path(directory), database_url=database_url, redis_url=redis_url, smtp_url=NOWHERE, **settings)
        group = api.start_api(processes)
        try:
            yield api
        finally:
            group.kill()
        assert '"level":"error"' not in api.log, api.logs()
        assert "Traceback" not in api.log, api.logs()
