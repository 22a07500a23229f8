"""One SMTP connection (RFC 5321), phase by phase.

The phase in which a conversation fails decides whether a mail may have been taken, so the phases are spoken here,
each with its own time-out. smtplib and aiosmtplib do not tell it.
"""

from __future__ import annotations

import contextlib
import re
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import inf
from typing import Self, TypeVar

from actors import spans
from actors.channels import ProviderDown, printable
from actors.channels.email.answers import Reply
from actors.channels.email.ehlo_name import ehlo_name
from actors.channels.email.login import censored, log_in
from actors.channels.email.mail import Mail
from actors.channels.email.replies import Client, Stop
from runtime import metrics, tracing
from settings import Settings, SmtpServer

T = TypeVar("T")

_DROPS = (OSError, UnicodeError)  # UnicodeError is a host name that is none
_LINE_DOT = re.compile(rb"(?m)^\.")
_DATA = "DATA"
ALONG = 65_536  # octets of a mail behind which the next one's envelope may go: what is larger may wait to be read


class Dropped(Exception):
    """The connection ended, was silent for too long or is out of step. `content_sent`: after the final dot."""

    def __init__(self, phase: str, text: str, *, content_sent: bool = False) -> None:
        super().__init__(text)
        self.phase, self.text, self.content_sent = phase, text, content_sent


class Connection:
    """A connection that is greeted, encrypted as asked, and logged in."""

    def __init__(self, smtp: Client, settings: Settings, server: SmtpServer) -> None:
        self._smtp, self._settings, self._server = smtp, settings, server
        self._opened = time.monotonic()
        self.mails = 0  # begun on it
        self._messages = settings.smtp_connection_messages
        self._traced = tracing.is_on()
        self._ahead: deque[str] = deque()  # lines said whose answers were not heard yet
        self.introduced: Mail | None = None  # whose envelope they are
        self._invited_by = self._opened
        # What the server has said in its answer to EHLO.
        self._extensions: dict[str, str] = {}  # by name in lower case
        self._pipelines = False
        self.most = inf  # octets that a mail may have (RFC 1870); no fixed limit where the server tells none

    @classmethod
    async def open(
        cls, settings: Settings, stop: Stop | None = None, limit: float = inf, messages: int | None = None
    ) -> Self:
        """Connect to SMTP_URL until `limit` (`time.monotonic()`), for at most `messages` mails.

        Raises:
            ProviderDown: it names the phase.
        """
        server = settings.smtp
        try:
            connection = await cls._ready(settings, server, Client(settings.smtp_connect_timeout, stop), limit)
        except ProviderDown as down:
            if down.receipt.phase != "starttls" or server.starttls != "optional" or server.user:
                raise
            # Encrypted where that works is all that was asked for (RFC 7435), and there is no password to protect.
            in_clear = replace(server, starttls="off")
            connection = await cls._ready(settings, in_clear, Client(settings.smtp_connect_timeout, stop), limit)
        connection._messages = min(connection._messages, messages or connection._messages)
        return connection

    @classmethod
    async def _ready(cls, settings: Settings, server: SmtpServer, client: Client, limit: float) -> Self:
        client.limit = limit
        connection = cls(client, settings, server)
        try:
            with spans.smtp("connect", server):
                await connection._connect(server)
            with spans.smtp("EHLO", server):
                await connection._hello()
            if not server.tls and server.starttls != "off":
                await connection._encrypt(server)
            if server.user:
                with spans.smtp("AUTH", server):
                    await connection._log_in(server)
        except Dropped as drop:
            metrics.connections["failed"].inc()
            connection.close()
            raise ProviderDown(censored(drop.text, server), phase=drop.phase) from None
        except ProviderDown as down:
            metrics.connections["failed"].inc()
            connection.close()
            phase, code, enhanced_code, text = down.receipt
            text = censored(text, server)
            raise ProviderDown(text, phase=phase, reply_code=code, enhanced_code=enhanced_code) from None
        metrics.connections["opened"].inc()
        return connection

    def end_by(self, limit: float) -> None:
        """Have all that comes before the answer to a mail's content be over by then (`time.monotonic()`)."""
        self._smtp.limit = limit

    @property
    def reused(self) -> bool:
        """Whether a mail was begun on it before this one."""
        return self.mails > 1

    @property
    def tls(self) -> ssl.SSLSocket | None:
        """The socket, where it is encrypted."""
        return self._smtp.sock if isinstance(self._smtp.sock, ssl.SSLSocket) else None

    @property
    def alive(self) -> bool:
        """Whether it is open as far as we know."""
        return self._smtp.alive

    def offers(self, extension: str) -> bool:
        return extension in self._extensions

    def usable(self) -> bool:
        """Whether it may carry one more mail: open as far as we know, not too many, not too old."""
        return self._smtp.alive and self._has_room()

    def may_go_on(self) -> bool:
        """Whether the next mail's envelope may go with the end of this one (RFC 2920, 3.1)."""
        return self._pipelines and self._has_room()

    def _has_room(self) -> bool:
        age = time.monotonic() - self._opened
        return self.mails < self._messages and age <= self._settings.smtp_connection_age

    async def introduce(self, mail: Mail) -> None:
        """Say its whole envelope at once where the server allows that; the answers are heard one by one."""
        if self._pipelines:
            said = self._go_ahead(mail)
            with contextlib.suppress(OSError):  # There will be no answers then.
                await self._smtp.say(said, len(self._ahead))

    async def mail(self, mail: Mail) -> Reply:
        self._smtp.encoding = "utf-8" if mail.utf8 else "ascii"
        self.mails += 1
        reply = self._at_hand() or await spans.phase("MAIL", self._server, self._next("mail", _mail_line, mail))
        self._invited_by = time.monotonic() + max(self._settings.smtp_timeout, self._settings.smtp_data_timeout)
        return reply

    async def rcpt(self, recipient: str) -> Reply:
        """Each has its time-out, and none is said later than SMTP_DATA_TIMEOUT: there may be many."""
        if time.monotonic() > self._invited_by:
            raise Dropped("rcpt", "the answers to all recipients took too long")
        return self._at_hand() or await spans.phase("RCPT", self._server, self._next("rcpt", _rcpt_line, recipient))

    async def data(self) -> Reply:
        return self._at_hand() or await spans.phase("DATA", self._server, self._next("data", str, _DATA))

    async def content(self, content: bytes, following: Mail | None = None) -> Reply:
        """The mail itself, dot-stuffed (RFC 5321, 4.5.2). Only silence after its end leaves its fate unknown.

        The envelope of the `following` one goes with it.
        """
        sending = self._content(content, following)
        return await (spans.phase("content", self._server, sending, len(content)) if self._traced else sending)

    async def _content(self, content: bytes, following: Mail | None) -> Reply:
        self.introduced = None
        stuffed = _LINE_DOT.sub(b"..", content) + b".\r\n"
        along = self._go_ahead(following) if following is not None and len(stuffed) <= ALONG else b""
        sent = False
        try:
            sent = await self._smtp.say_content(stuffed + along, 1 + len(self._ahead), len(stuffed))
            self._smtp.patience = self._settings.smtp_data_timeout
            self._smtp.limit += self._settings.smtp_data_timeout
            reply = await self._smtp.hear(final=sent)
            while sent and reply.code // 100 == 3:  # "Go ahead" once more, and late: the mail's own answer follows.
                reply = await self._smtp.hear(final=True)
        except _DROPS as error:
            raise Dropped("content", _why(error), content_sent=sent) from None
        self._smtp.patience = self._settings.smtp_timeout
        if not sent:  # It was refused before it was out: whatever the server waits for now, it is not a command.
            self.close()
        return reply

    async def reset(self) -> None:
        """Forget the mail under way; a connection that cannot is closed."""
        with contextlib.suppress(Dropped):
            await self._catch_up()
            if (await self._say("rset", "RSET")).code == 250:
                return
        self.close()

    async def quit(self) -> None:
        """Say goodbye, if that is quick."""
        if self._smtp.sock is not None and not self._ahead:
            with contextlib.suppress(Dropped):
                self._smtp.patience, self._smtp.limit = self._settings.smtp_quit_timeout, inf
                await self._say("quit", "QUIT")
        self.close()

    def close(self) -> None:
        self._smtp.close()
        self._ahead.clear()
        self.introduced = None

    def _go_ahead(self, mail: Mail) -> bytes:
        """The lines of its envelope, as octets, whose answers are due from now on."""
        self._ahead.extend(_envelope(mail))
        self.introduced = mail
        return ("\r\n".join(self._ahead) + "\r\n").encode("utf-8" if mail.utf8 else "ascii")

    async def _catch_up(self) -> None:
        """Hear the answers to what was said ahead. A mail that the server waits for is ended with nothing in it."""
        while self._ahead:
            line = self._ahead[0]
            kind = (await self._next("rset", str, line)).code // 100
            if kind == 2 and _DATA in self._ahead:  # It has a recipient after all, who must not get what is empty.
                raise Dropped("rset", "out of step")
            if kind == 3:
                with _dropping("rset"):
                    await self._smtp.say(b".\r\n", 1)
                    await self._smtp.hear()
        self.introduced = None

    async def _connect(self, server: SmtpServer) -> None:
        with _dropping("connect"):
            await self._smtp.reach(server.host, server.port)
        self._smtp.patience = self._settings.smtp_timeout
        if server.tls:
            with _dropping("tls"):
                await self._smtp.encrypt(_tls(server, verified=True), server.host)
        with _dropping("greeting"):
            _demand("greeting", await self._smtp.hear())

    async def _hello(self) -> None:
        name = ehlo_name(self._settings.smtp_ehlo_name, self._smtp.sock)
        with _dropping("ehlo"):
            await self._smtp.say(f"EHLO {name}\r\n".encode("ascii"), 1)
            hello, (_, *lines) = await self._smtp.hear_lines()
            self._extensions = _extensions(lines) if hello.code // 100 == 2 else {}
            if hello.code >= 500 and self._smtp.sock is not None and not self._needs_extensions:  # RFC 5321, 3.2
                hello = await self._smtp.command(f"HELO {name}")
        _demand("ehlo", hello)
        self._pipelines = self._settings.smtp_pipelining == "auto" and self.offers("pipelining")
        told = self._extensions.get("size", "")
        self.most = int(told) if told.isascii() and told.isdecimal() and 0 < len(told) < 20 and int(told) else inf

    @property
    def _needs_extensions(self) -> bool:
        """Whether nothing may be sent to this server without STARTTLS or AUTH, which come with EHLO alone."""
        server = self._server
        return bool(server.user) or (server.starttls == "required" and not server.tls)

    async def _encrypt(self, server: SmtpServer) -> None:
        required = server.starttls == "required"
        if not self.offers("starttls"):
            if required:
                raise ProviderDown("the mail server does not offer STARTTLS", phase="starttls")
            return
        with spans.smtp("STARTTLS", server):
            _demand("starttls", await self._say("starttls", "STARTTLS"))
            with _dropping("starttls"):
                await self._smtp.encrypt(_tls(server, verified=required), server.host)
        with spans.smtp("EHLO", server):
            await self._hello()

    async def _log_in(self, server: SmtpServer) -> None:
        if server.starttls != "off" and not isinstance(self._smtp.sock, ssl.SSLSocket):
            raise ProviderDown("the password is not sent in clear unless starttls=off says so", phase="auth")
        offered = self._extensions.get("auth", "")
        _demand("auth", await log_in(lambda line: self._say("auth", line), server, offered))

    def _at_hand(self) -> Reply | None:
        """Return the answer to the next line that was said ahead, if it has come: the way that nearly all mails go."""
        if self._traced or not self._ahead:
            return None
        reply = self._smtp.at_hand()
        if reply is not None:
            self._ahead.popleft()
        return reply

    async def _next(self, phase: str, line: Callable[[T], str], about: T) -> Reply:
        """The answer to a line of an envelope, which is said now unless it was said ahead."""
        if not self._ahead:
            return await self._say(phase, line(about))
        self._ahead.popleft()
        return await self._hear(phase)

    async def _say(self, phase: str, line: str) -> Reply:
        with _dropping(phase):
            await self._smtp.say(f"{line}\r\n".encode(self._smtp.encoding), 1)
        return await self._hear(phase)

    async def _hear(self, phase: str) -> Reply:
        try:
            return await self._smtp.hear()
        except _DROPS as error:
            raise Dropped(phase, _why(error)) from None


def _extensions(lines: Sequence[str]) -> dict[str, str]:
    """Return what a server offers (RFC 5321, 4.1.1.1): the parameters by the keyword in lower case.

    Some servers write "AUTH=PLAIN LOGIN", with the right form or without.
    """
    offered: dict[str, str] = {}
    for line in lines:
        keyword, _, parameters = line.strip().replace("=", " ", 1).partition(" ")
        key = keyword.lower()
        offered[key] = f"{offered.get(key, '')} {parameters}".strip() if key == "auth" else parameters.strip()
    return offered


def _envelope(mail: Mail) -> Iterator[str]:
    """All that can be said before the content.

    DATA only with a single recipient: of several one may be refused, and the others must not get the mail then.
    """
    yield _mail_line(mail)
    yield from map(_rcpt_line, mail.recipients)
    if len(mail.recipients) == 1:
        yield _DATA


def _mail_line(mail: Mail) -> str:
    return f"MAIL FROM:<{mail.sender}>{' SMTPUTF8 BODY=8BITMIME' if mail.utf8 else ''}"


def _rcpt_line(recipient: str) -> str:
    return f"RCPT TO:<{recipient}>"


def _tls(server: SmtpServer, *, verified: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=server.ca or None)
    if not verified:  # Opportunistic: better than plain text, no better than that (RFC 7435).
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _demand(phase: str, reply: Reply) -> None:
    if reply.code // 100 != 2:
        raise ProviderDown(reply.text, phase=phase, reply_code=reply.code, enhanced_code=reply.enhanced_code)


@contextlib.contextmanager
def _dropping(phase: str) -> Iterator[None]:
    """Turn every way a connection can end into Dropped, which knows the phase."""
    try:
        yield
    except _DROPS as error:
        raise Dropped(phase, _why(error)) from None


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return printable(str(error)) or type(error).__name__
