"""`notify bounces` as a process, for tests."""

from __future__ import annotations

import json
import smtplib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.eventually import eventually
from tests.processes import Group


class BounceServer(NamedTuple):
    """A running server."""

    group: Group
    port: int

    def client(self, kind: type[smtplib.SMTP] = smtplib.SMTP) -> smtplib.SMTP:
        client = kind("127.0.0.1", self.port, timeout=30)
        client.ehlo_or_helo_if_needed()
        return client

    @property
    def events(self) -> list[dict[str, object]]:
        """The lines of its log."""
        return [json.loads(line) for line in self.group.log.read_text().splitlines() if line.startswith("{")]


@contextmanager
def serving(directory: Path, environ: Mapping[str, str], *words: str) -> Iterator[BounceServer]:
    """Run the server until the end of the block."""
    command = ["notify", "bounces", "--listen", "127.0.0.1:0", *words]
    server = BounceServer(Group(command, environ, directory / "bounces.log"), 0)

    def port() -> object:
        assert server.group.running, server.group.log.read_text()
        return next((event["port"] for event in server.events if event["event"] == "bounces.started"), 0)

    try:
        yield server._replace(port=int(str(eventually(port, within=20, saying=server.group.log.read_text))))
    finally:
        server.group.kill()
    assert "Traceback" not in server.group.log.read_text(), server.group.log.read_text()
