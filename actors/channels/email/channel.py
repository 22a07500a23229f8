"""The e-mail channel: mails to one SMTP server, each sender with a connection that it keeps from mail to mail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from actors.channels import (
    NoConnection,
    ProviderDown,
    Refused,
    Throttled,
    Undelivered,
)
from actors.channels.email.connections import Connections
from actors.channels.email.mail import Mail, compose
from actors.channels.email.mailboxes import mail_from
from actors.channels.email.refusals import says_too_many
from actors.channels.email.replies import Stop
from actors.channels.email.smtp import Connection
from actors.channels.email.smtp_sender import SmtpSender
from actors.channels.email.unsubscribing import url
from actors.channels.lease import ConnectionLease
from db.records import Claimed
from settings import Settings

# After so many new connections in a row that took a mail no better than the old one, no others for so many seconds.
IN_VAIN, IN_VAIN_FOR = 3, 60.0
LAST_ANSWER = 540.0  # seconds after a stop; Dramatiq gives its threads ten minutes, of which some are for the record


class Email:
    """The mail server of SMTP_URL, and what this process has learned of it."""

    pipelines = True

    def __init__(self, settings: Settings, lease: ConnectionLease | None = None) -> None:
        server = settings.smtp
        self.provider = server.name
        self.settings = settings
        self.limits = Connections(server.connections, lease)
        self._first: asyncio.Future[None] | None = None  # done when the first connection is open or refused
        self.idle = settings.smtp_connection_idle
        self.own_sender = mail_from(settings.sender)
        self.stopping = Stop()
        self._in_vain, self._in_vain_since = 0, 0.0

    def sender(self) -> SmtpSender:
        return SmtpSender(self)

    def stop(self) -> None:
        """The process stops: give up after SHUTDOWN_GRACE what is not out. What is out waits for its answer."""
        now = time.monotonic()
        self.stopping.sending, self.stopping.answers = now + self.settings.shutdown_grace, now + LAST_ANSWER

    def ready(self, notification: Claimed) -> bool:
        """All go to the same server."""
        return True

    async def start(self) -> None:
        """Take this process's share of the connections."""
        await self.limits.start()

    async def close(self) -> None:
        await self.limits.stop()

    async def connect(self, limit: float) -> Connection:
        """Open a connection until `limit` (`time.monotonic()`). While none is open, one is tried at a time.

        Raises:
            NoConnection: it was refused, and others work.
            Throttled: it was refused because there are too many, and none of ours works.
            ProviderDown: it was refused, and no other works.
        """
        while self._first is not None and not self.limits.open:
            await asyncio.shield(self._first)
        if self.limits.open:
            return await self._connect(limit)
        self._first = asyncio.get_running_loop().create_future()
        try:
            connection = await self._connect(limit)
        except (ProviderDown, Throttled) as refusal:
            self._first.set_exception(refusal)
            self._first.exception()  # Perhaps nobody else waits for it.
            raise
        else:
            self._first.set_result(None)
            return connection
        finally:
            if not self._first.done():
                self._first.set_result(None)
            self._first = None

    async def _connect(self, limit: float) -> Connection:
        begun = time.monotonic()
        messages = self.limits.own.messages(begun)
        try:
            connection = await Connection.open(self.settings, self.stopping, limit, messages)
        except ProviderDown as down:
            full = says_too_many(down)
            if await self.limits.refused(begun, reached=down.receipt.phase != "connect", full=full):
                raise NoConnection(str(down)) from None
            if full:  # It is up; others have its connections, or we have opened too many lately.
                phase, code, enhanced_code, text = down.receipt
                raise Throttled(text, phase=phase, reply_code=code, enhanced_code=enhanced_code) from None
            raise
        self.limits.opened(connection)
        return connection

    def tried_anew(self, *, in_vain: bool) -> None:
        """Take note of what a new connection made of a mail that was refused over an old one."""
        self._in_vain = self._in_vain + 1 if in_vain else 0
        self._in_vain_since = time.monotonic()

    @property
    def try_anew(self) -> bool:
        """Whether a mail that was refused over an old connection is to be tried over a new one."""
        return self._in_vain < IN_VAIN or time.monotonic() - self._in_vain_since > IN_VAIN_FOR

    async def composed(self, notification: Claimed, contents: Sequence[bytes]) -> Mail:
        """Compose a mail with attachments in a thread: it takes a while."""
        return await asyncio.to_thread(self.compose, notification, contents)

    def compose(self, notification: Claimed, contents: Sequence[bytes] = ()) -> Mail:
        leave = url(notification.id, self.settings) if notification.mail else None
        return compose(notification, self.own_sender, contents, leave)

    def blamed(self, mail: Mail) -> type[Undelivered]:
        """Return what a refusal of the mail's sender means.

        Our own sender refused: no notification is to blame. One that a client chose must not open the breaker for
        all the others.
        """
        return ProviderDown if mail.sender == self.own_sender.address else Refused
