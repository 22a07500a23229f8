"""The SMTP server of `notify smtp` as a process, and clients of it."""

from __future__ import annotations

import json
import smtplib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import NamedTuple

from tests.eventually import eventually
from tests.processes import Group
from tests.system import System


class Submission(NamedTuple):
    """A running server."""

    group: Group
    port: int

    @property
    def events(self) -> list[dict[str, object]]:
        """The lines of its log."""
        lines = self.group.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def client(self, key: str = "") -> smtplib.SMTP:
        """A connection, after EHLO and AUTH where a key is given."""
        client = smtplib.SMTP("127.0.0.1", self.port, timeout=30)
        client.ehlo("client.example")
        if key:
            client.login("apikey", key)
        return client

    def exchange(self, *pieces: bytes, until: bytes = b"221 ") -> bytes:
        """All that the server says to these bytes, which are sent at once, until a line that begins with `until`."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(b"".join(pieces))
            said = b""
            while b"\n" + until not in said and (piece := connection.recv(65_536)):
                said += piece
            return said


@contextmanager
def serving(system: System, *words: str, listen: str = "127.0.0.1:0", **environ: str) -> Iterator[Submission]:
    """Run the server for the API of this system until the end of the block."""
    submission = start(system, *words, listen=listen, **environ)
    try:
        yield submission
    finally:
        submission.group.kill()
    assert "Traceback" not in submission.group.log.read_text(), submission.group.log.read_text()


def start(system: System, *words: str, listen: str = "127.0.0.1:0", **environ: str) -> Submission:
    """Start the server and wait until it listens."""
    return started(begin(system, *words, listen=listen, **environ))


def started(group: Group) -> Submission:
    """Wait until a server listens."""
    submission = Submission(group, 0)

    def port() -> object:
        assert group.running, group.log.read_text()
        return next((event["port"] for event in submission.events if event["event"] == "submission.started"), 0)

    return submission._replace(port=int(str(eventually(port, within=20, saying=group.log.read_text))))


def begin(system: System, *words: str, listen: str, url: str = "", **environ: str) -> Group:
    """Start the server, which may end at once."""
    number = len(list(system.directory.glob("submission-*.log"))) + 1
    command = ["notify", "smtp", "--listen", listen, "--url", url or f"http://127.0.0.1:{system.port}", *words]
    return Group(command, system.environ | environ, system.directory / f"submission-{number}.log")


def mail(to: str = "ann@example.com", text: str = "Hello\n", **fields: str) -> EmailMessage:
    """A mail of MAIL_FROM's address; `fields` are header fields by their names with underscores."""
    message = EmailMessage()
    message["From"] = "noreply@sender.example"
    message["To"] = to
    message["Subject"] = "Hi"
    for name, value in fields.items():
        message[name.replace("_", "-")] = value
    message.set_content(text)
    return message


def files(directory: Path, pair: tuple[bytes, bytes]) -> tuple[str, ...]:
    """The options for a certificate and its key."""
    paths = directory / "chain.pem", directory / "key.pem"
    for path, content in zip(paths, pair, strict=True):
        path.write_bytes(content)
    return "--certificate", str(paths[0]), "--private-key", str(paths[1])
