"""Mails over one SMTP connection (RFC 5321), phase by phase, with pipelining (RFC 2920).

The phase in which a conversation fails decides whether a mail may have been accepted. smtplib and aiosmtplib do not
report the phase, so the phases are implemented here, each with its own time-out.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from dataclasses import replace
from math import inf
from typing import Self

from actors import spans
from actors.channels import ProviderDown
from actors.channels.email import envelope
from actors.channels.email.answers import Reply
from actors.channels.email.envelope import DATA, mail_command, rcpt_command
from actors.channels.email.mail import Mail
from actors.channels.email.replies import Client
from actors.channels.email.smtp_session import DROPS, Dropped, Session, dropping, explained
from actors.channels.email.smtp_socket import Stop
from runtime import tracing
from settings.smtp import SmtpSettings
from settings.smtp_url import SmtpServer

CONNECTION_AGE = 300.0  # seconds after which a connection is replaced
QUIT_TIMEOUT = 1.0  # seconds; nothing depends on the reply
ALONG = 65_536  # octets of a mail after which the next envelope may be pipelined: a larger one may fill the buffers


class Connection(Session):
    """Session that sends mails."""

    def __init__(self, smtp: Client, settings: SmtpSettings, server: SmtpServer) -> None:
        super().__init__(smtp, settings, server)
        self._opened = time.monotonic()
        self.mails = 0  # mails that were begun
        self._messages = settings.connection_messages
        self._traced = tracing.is_on()
        self._unread: deque[str] = deque()  # pipelined commands whose replies were not read yet
        self.pipelined: Mail | None = None  # the mail to which those commands belong
        self._invited_by = self._opened

    @classmethod
    async def open(
        cls,
        settings: SmtpSettings,
        server: SmtpServer,
        stop: Stop | None = None,
        limit: float = inf,
        messages: int | None = None,
    ) -> Self:
        """Connect to a mail server until `limit` (`time.monotonic()`), for at most `messages` mails.

        Raises:
            ProviderDown: A phase failed; the exception names it.
        """
        try:
            connection = await cls._ready(settings, server, Client(settings.connect_timeout, stop), limit)
        except ProviderDown as down:
            if down.receipt.phase != "starttls" or server.starttls != "optional" or server.user:
                raise
            # Encryption is optional (RFC 7435), and there is no password to protect.
            in_clear = replace(server, starttls="off")
            connection = await cls._ready(settings, in_clear, Client(settings.connect_timeout, stop), limit)
        connection._messages = min(connection._messages, messages or connection._messages)
        return connection

    @classmethod
    async def _ready(cls, settings: SmtpSettings, server: SmtpServer, client: Client, limit: float) -> Self:
        client.limit = limit
        connection = cls(client, settings, server)
        await connection.begin()
        return connection

    def end_by(self, limit: float) -> None:
        """Set the time (`time.monotonic()`) by which a mail must be sent; its answer may come later."""
        self._smtp.limit = limit

    @property
    def reused(self) -> bool:
        """True if the connection carried a mail before the current one."""
        return self.mails > 1

    def usable(self) -> bool:
        """Return whether the connection may carry one more mail: open, not used too often, and not too old."""
        return self._smtp.alive and self._has_room()

    def may_go_on(self) -> bool:
        """Return whether the next mail's envelope may follow the content at once (RFC 2920, section 3.1)."""
        return self._pipelines and self._has_room()

    def _has_room(self) -> bool:
        age = time.monotonic() - self._opened
        return self.mails < self._messages and age <= CONNECTION_AGE

    async def send_envelope(self, mail: Mail) -> None:
        """Send the whole envelope at once if the server supports it. The replies are read one by one later."""
        if self._pipelines:
            said = self._go_ahead(mail)
            with contextlib.suppress(OSError):  # Reading the replies raises the error again.
                await self._smtp.say(said, len(self._unread))

    async def mail(self, mail: Mail) -> Reply:
        """Begin a mail, and return the reply to MAIL."""
        self._smtp.encoding = "utf-8" if mail.utf8 else "ascii"
        self.mails += 1
        reply = self._at_hand() or await self._asked("mail", mail_command(mail, dsn=self._dsn))
        self._invited_by = time.monotonic() + max(self._settings.timeout, self._settings.data_timeout)
        return reply

    async def rcpt(self, mail: Mail, recipient: str) -> Reply:
        """Return the reply to RCPT.

        Each command has its own time-out, and the last one must be sent within SMTP_DATA_TIMEOUT.
        """
        if time.monotonic() > self._invited_by:
            raise Dropped("rcpt", "the answers to all recipients took too long")
        return self._at_hand() or await self._asked("rcpt", rcpt_command(mail, recipient, dsn=self._dsn))

    async def data(self) -> Reply:
        """Return the reply to DATA."""
        return self._at_hand() or await self._asked("data", DATA)

    async def content(self, content: bytes, next_mail: Mail | None = None) -> Reply:
        """Send the content, and the envelope of the `next_mail` mail with it; return the reply to the content.

        Raises:
            Dropped: With `content_sent`, the content was sent but not answered: whether it was accepted is unknown.
        """
        sending = self._content(content, next_mail)
        return await (spans.phase("content", self._server, sending, len(content)) if self._traced else sending)

    async def _content(self, content: bytes, next_mail: Mail | None) -> Reply:
        self.pipelined = None
        stuffed = envelope.stuffed(content)
        along = self._go_ahead(next_mail) if next_mail is not None and len(stuffed) <= ALONG else b""
        sent = False
        try:
            sent = await self._smtp.say_content(stuffed + along, 1 + len(self._unread), len(stuffed))
            self._smtp.timeout = self._settings.data_timeout
            self._smtp.limit += self._settings.data_timeout
            reply = await self._smtp.hear(final=sent)
            while sent and reply.code // 100 == 3:  # A late second 354; the reply to the content follows.
                reply = await self._smtp.hear(final=True)
        except DROPS as error:
            raise Dropped("content", explained(error), content_sent=sent) from None
        self._smtp.timeout = self._settings.timeout
        if not sent:  # Refused before it was sent completely: the server still expects content, not a command.
            self.close()
        return reply

    async def reset(self) -> None:
        """Abort the current mail. Close the connection if that fails."""
        with contextlib.suppress(Dropped):
            await self._catch_up()
            if (await self._say("rset", "RSET")).code == 250:
                return
        self.close()

    async def quit(self) -> None:
        """Send QUIT, wait QUIT_TIMEOUT for the reply, and close the connection."""
        if self._smtp.sock is not None and not self._unread:
            with contextlib.suppress(Dropped):
                self._smtp.timeout, self._smtp.limit = QUIT_TIMEOUT, inf
                await self._say("quit", "QUIT")
        self.close()

    def close(self) -> None:
        super().close()
        self._unread.clear()
        self.pipelined = None

    def _go_ahead(self, mail: Mail) -> bytes:
        """Return the commands of a mail's envelope as octets. Their replies are due from now on."""
        self._unread.extend(envelope.commands(mail, dsn=self._dsn))
        self.pipelined = mail
        return ("\r\n".join(self._unread) + "\r\n").encode("utf-8" if mail.utf8 else "ascii")

    async def _catch_up(self) -> None:
        """Read the replies to pipelined commands. If the server accepts DATA, end the mail with an empty content."""
        while self._unread:
            line = self._unread[0]
            kind = (await self._next("rset", line)).code // 100
            if kind == 2 and DATA in self._unread:  # A recipient was accepted, and must not get an empty mail.
                raise Dropped("rset", "out of step")
            if kind == 3:
                with dropping("rset"):
                    await self._smtp.say(b".\r\n", 1)
                    await self._smtp.hear()
        self.pipelined = None

    def _at_hand(self) -> Reply | None:
        """Return the reply to the next pipelined command if it was received already: the fast path of most mails."""
        if self._traced or not self._unread:
            return None
        reply = self._smtp.at_hand()
        if reply is not None:
            self._unread.popleft()
        return reply

    async def _asked(self, phase: str, line: str) -> Reply:
        return await spans.phase(phase.upper(), self._server, self._next(phase, line))

    async def _next(self, phase: str, line: str) -> Reply:
        """Return the reply to a command of the envelope, which is sent now unless it was pipelined."""
        if not self._unread:
            return await self._say(phase, line)
        self._unread.popleft()
        return await self._hear(phase)
