"""What the sink remembers, its control port, and the client of that port.

One JSON array a line in, `[command, argument ...]`; one JSON value a line out. Times are Unix seconds.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast
from zlib import crc32


@dataclass(frozen=True, slots=True)
class Count:
    """What has arrived: mails in all, different recipients, and the first and last arrival."""

    mails: int
    recipients: int
    first: float
    last: float


class Mailbox:
    """Arrivals by recipient."""

    def __init__(self) -> None:
        self.reply_delay = self.mail_delay = self.deferred_share = 0.0
        self.reset()

    def reset(self) -> None:
        """Forget every mail, and who was refused."""
        self.deferred: set[bytes] = set()
        self.arrivals: dict[bytes, float] = {}
        self.mails = 0
        self.last = 0.0

    def take(self, recipients: list[bytes], now: float) -> None:
        """Remember the first arrival of each recipient; a second one counts as a mail only."""
        for recipient in recipients:
            self.arrivals.setdefault(recipient, now)
        self.mails += len(recipients)
        self.last = now

    def delay(self, reply_ms: float, mail_ms: float) -> None:
        """Answer every round trip that much later, and each mail's end later still."""
        self.reply_delay, self.mail_delay = reply_ms / 1_000, mail_ms / 1_000

    def defer(self, share: float) -> None:
        """Refuse that share of the recipients, 0 to 1, once with 451; always the same ones."""
        self.deferred_share = share

    def defers(self, recipient: bytes) -> bool:
        """Whether to refuse this one now."""
        if not self.deferred_share or recipient in self.deferred:
            return False
        if crc32(recipient) >= self.deferred_share * 2**32:
            return False
        self.deferred.add(recipient)
        return True

    def count(self) -> list[float]:
        """The fields of Count."""
        first = next(iter(self.arrivals.values()), 0.0)
        return [self.mails, len(self.arrivals), first, self.last]

    def times(self) -> dict[str, float]:
        """First arrival by recipient."""
        return {recipient.decode(): time for recipient, time in self.arrivals.items()}


class Control(asyncio.Protocol):
    """The control port."""

    def __init__(self, mailbox: Mailbox) -> None:
        commands = mailbox.reset, mailbox.delay, mailbox.defer, mailbox.count, mailbox.times
        self.commands: dict[str, Callable[..., object]] = {f.__name__: f for f in commands}
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember whom to answer."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Run each whole line."""
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            name, *arguments = json.loads(line)
            self.transport.write(json.dumps(self.commands[name](*arguments)).encode() + b"\n")


class MailboxClient:
    """Asks a sink in another process."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.lines = self.socket.makefile("rb")

    def reset(self) -> None:
        """Forget every mail."""
        self._ask("reset")

    def delay(self, reply_ms: float = 0, mail_ms: float = 0) -> None:
        """Slow the sink down, or with no argument make it fast again."""
        self._ask("delay", reply_ms, mail_ms)

    def defer(self, share: float) -> None:
        """Refuse that share of the recipients once with 451."""
        self._ask("defer", share)

    def count(self) -> Count:
        """What has arrived since the last reset."""
        mails, recipients, first, last = self._ask("count")
        return Count(int(mails), int(recipients), first, last)

    def times(self) -> dict[str, float]:
        """First arrival by recipient."""
        return cast(dict[str, float], self._ask("times"))

    def close(self) -> None:
        """Hang up."""
        self.lines.close()
        self.socket.close()

    def _ask(self, *command: object) -> Any:
        self.socket.sendall(json.dumps(command).encode() + b"\n")
        return json.loads(self.lines.readline())
