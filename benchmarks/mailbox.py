"""Arrivals at the sink, its control port, and a client for that port.

Each request is a line with a JSON array, `[command, argument ...]`; each answer is a line with a JSON value. Times are
Unix seconds.
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
    """Number of mails and of different recipients, and the times of the first and last arrival."""

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
        """Forget all mails, and the recipients that were deferred."""
        self.deferred: set[bytes] = set()
        self.arrivals: dict[bytes, float] = {}
        self.mails = 0
        self.last = 0.0

    def take(self, recipients: list[bytes], now: float) -> None:
        """Record a mail. Only the first arrival of each recipient is kept; later ones count as mails."""
        for recipient in recipients:
            self.arrivals.setdefault(recipient, now)
        self.mails += len(recipients)
        self.last = now

    def delay(self, reply_ms: float, mail_ms: float) -> None:
        """Delay every answer by `reply_ms`, and the answer to a content by `mail_ms` more."""
        self.reply_delay, self.mail_delay = reply_ms / 1_000, mail_ms / 1_000

    def defer(self, share: float) -> None:
        """Answer a share of the recipients (0 to 1) once with 451. The choice is the same in every run."""
        self.deferred_share = share

    def defers(self, recipient: bytes) -> bool:
        """Return whether to answer this RCPT with 451."""
        if not self.deferred_share or recipient in self.deferred:
            return False
        if crc32(recipient) >= self.deferred_share * 2**32:
            return False
        self.deferred.add(recipient)
        return True

    def count(self) -> list[float]:
        """Return the fields of Count."""
        first = next(iter(self.arrivals.values()), 0.0)
        return [self.mails, len(self.arrivals), first, self.last]

    def times(self) -> dict[str, float]:
        """Return the first arrival by recipient."""
        return {recipient.decode(): time for recipient, time in self.arrivals.items()}


class Control(asyncio.Protocol):
    """Connection to the control port."""

    def __init__(self, mailbox: Mailbox) -> None:
        commands = mailbox.reset, mailbox.delay, mailbox.defer, mailbox.count, mailbox.times
        self.commands: dict[str, Callable[..., object]] = {f.__name__: f for f in commands}
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport for the answers."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Run the command of each complete line."""
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            name, *arguments = json.loads(line)
            self.transport.write(json.dumps(self.commands[name](*arguments)).encode() + b"\n")


class MailboxClient:
    """Client of the control port of a sink."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.lines = self.socket.makefile("rb")

    def reset(self) -> None:
        """Forget all mails."""
        self._ask("reset")

    def delay(self, reply_ms: float = 0, mail_ms: float = 0) -> None:
        """Slow the sink down; without arguments, make it fast again."""
        self._ask("delay", reply_ms, mail_ms)

    def defer(self, share: float) -> None:
        """Answer a share of the recipients (0 to 1) once with 451."""
        self._ask("defer", share)

    def refuse(self, *, refuse: bool) -> None:
        """Make the SMTP sink reset its connections and refuse further ones, or accept them again."""
        self._ask("refuse", refuse)

    def count(self) -> Count:
        """Return the arrivals since the last reset."""
        mails, recipients, first, last = self._ask("count")
        return Count(int(mails), int(recipients), first, last)

    def times(self) -> dict[str, float]:
        """Return the first arrival by recipient."""
        return cast(dict[str, float], self._ask("times"))

    def close(self) -> None:
        """Close the connection."""
        self.lines.close()
        self.socket.close()

    def _ask(self, *command: object) -> Any:
        self.socket.sendall(json.dumps(command).encode() + b"\n")
        return json.loads(self.lines.readline())
