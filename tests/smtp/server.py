"""The server itself: a loop in a thread, a port that stays its own, and what it has seen."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Self

from tests.smtp.limits import Limits
from tests.smtp.records import Mail, Refusal
from tests.smtp.script import Action, Phase, Script
from tests.smtp.session import Session
from tests.smtp.wire import Wire

START_LIMIT = 10.0  # seconds
EXTENSIONS = ("PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")


class SmtpServer:
    """A scriptable mail server on loopback. Offers AUTH where `users` are given, TLS where a context is.

    `delay` seconds pass before every reply. Reads are safe from any thread at any time.
    """

    def __init__(
        self,
        *,
        extensions: Sequence[str] = EXTENSIONS,
        tls: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        users: Mapping[str, str] | None = None,
        delay: float = 0.0,
    ) -> None:
        self.extensions = tuple(extensions)
        self.tls = tls
        self.implicit_tls = implicit_tls
        self.users = dict(users or {})
        self.delay = delay
        self.script = Script()
        self.limits = Limits()
        self.peak = 0  # connections that were greeted with 220 and open at once
        self.connections = 0
        self.hanging = 0
        self._released = threading.Event()
        self._open: set[Session] = set()
        self._mails: list[Mail] = []
        self._refusals: list[Refusal] = []
        self._wires: list[Wire] = []
        self._thread: threading.Thread | None = None
        self._keep_port(0)

    @property
    def url(self) -> str:
        """SMTP_URL for a client that need not log in."""
        return f"{'smtps' if self.implicit_tls else 'smtp'}://127.0.0.1:{self.port}"

    @property
    def admitted(self) -> int:
        """Connections that are open now and were greeted with 220."""
        return len(self._open)

    @property
    def mails(self) -> list[Mail]:
        """The accepted mails, in order."""
        return list(self._mails)

    @property
    def refusals(self) -> list[Refusal]:
        """Where the script interfered, in order."""
        return list(self._refusals)

    def mails_to(self, recipient: str) -> list[Mail]:
        """Return the accepted mails for one recipient, in order."""
        return [mail for mail in self.mails if recipient in mail.recipients]

    def refusals_of(self, recipient: str) -> list[Refusal]:
        """Where the script interfered with mail for one recipient, in order."""
        return [refusal for refusal in self.refusals if recipient in refusal.recipients]

    def copies(self) -> Counter[str]:
        """Return the number of times that each Message-ID was accepted."""
        return Counter(mail.message_id for mail in self.mails)

    def on(self, phase: Phase, action: Action, *, to: str | None = None, times: int | None = 1) -> None:
        """Have `action` happen at `phase`, `times` times (None: for ever), to one recipient's mail or to all.

        Earlier rules go first: 450 twice and then 550 are two calls.
        """
        self.script.add(phase, action, to, times)

    def clear(self) -> None:
        """Forget the script, the limits and the records, and let go of who hangs."""
        self.script.clear()
        self.limits, self.peak = Limits(), 0
        self._mails.clear()
        self._refusals.clear()
        self.release()

    def release(self) -> None:
        """Let every client go on that hangs now; the next hang hangs again."""
        self._released.set()
        self._released = threading.Event()

    def start(self) -> Self:
        """Listen, on the same port as before if it was stopped."""
        listening = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(listening),), name="smtp-server")
        self._thread.start()
        if not listening.wait(START_LIMIT):
            raise TimeoutError("the test mail server did not start")
        return self

    def stop(self) -> None:
        """Refuse connections and cut those that are open. What was recorded stays."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
            self._thread = None
            with warnings.catch_warnings():
                # A connection that was accepted at the very moment of the stop never got a session to close it.
                warnings.simplefilter("ignore", ResourceWarning)
                gc.collect()
            self._keep_port(self.port)

    def close(self) -> None:
        """Stop for good and give the port back."""
        self.stop()
        self._socket.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def accepted(self, session: Session, raw: bytes) -> None:
        """Record a mail. For the session."""
        now = time.monotonic()
        session.taken += 1
        sender, recipients = session.sender or "", tuple(session.recipients)
        self._mails.append(
            Mail(sender, recipients, raw, now, session.connection, session.tls, session.user, session.options)
        )

    def refused(self, session: Session, phase: Phase, action: Action, recipients: Sequence[str]) -> None:
        """Record an interference. For the session."""
        now = time.monotonic()
        self._refusals.append(Refusal(phase, action, session.sender, tuple(recipients), now, session.connection))

    def action(self, phase: Phase, session: Session, recipients: Sequence[str]) -> Action | None:
        """Return the action of the script, or else of the limits, for this phase. For the session."""
        action = self.script.take(phase, recipients) or self.limits.action(phase, session, self._open, self._mails)
        if phase == "connect" and action is None:
            self._open.add(session)
            self.peak = max(self.peak, len(self._open))
        return action

    def ended(self, session: Session) -> None:
        """Count a connection no more. For the session."""
        self._open.discard(session)

    @contextmanager
    def one_hanging(self) -> Iterator[threading.Event]:
        """Count a hang while it lasts; the event ends it. For the session."""
        self.hanging += 1
        try:
            yield self._released
        finally:
            self.hanging -= 1

    def _keep_port(self, port: int) -> None:
        # Bound but not listening: clients are refused, and nobody else can take the port meanwhile.
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self.port = self._socket.getsockname()[1]

    async def _serve(self, listening: threading.Event) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        tls = self.tls if self.implicit_tls else None
        server = await self._loop.create_server(self._connected, sock=self._socket, ssl=tls, backlog=1024)
        listening.set()
        await self._stopping.wait()
        server.close()
        for wire in self._wires:
            await wire.stop()
        self._wires.clear()

    def _connected(self) -> Wire:
        self.connections += 1
        number = self.connections
        wire = Wire(lambda wire: Session(self, wire, number).run())
        self._wires.append(wire)
        return wire
