"""One SMTP connection (RFC 5321), phase by phase.

smtplib's own `sendmail` cannot tell in which phase it failed, and that decides whether a mail may
have been taken; so the phases are spoken here, each with its own timeout.
"""

from __future__ import annotations

import contextlib
import re
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import inf
from typing import Self, TypeVar

import metrics
from actors.channels import ProviderDown, printable
from actors.channels.answers import Reply
from actors.channels.ehlo_name import ehlo_name
from actors.channels.login import censored, log_in
from actors.channels.mail import Mail
from actors.channels.replies import Client, Stop
from settings import Settings, SmtpServer

T = TypeVar("T")

_DROPS = (OSError, UnicodeError)  # smtplib's errors are OSErrors; UnicodeError is a host name that is none
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
        self._opened = self._used = time.monotonic()
        self._mails = 0
        self._ahead: deque[str] = deque()  # lines said whose answers were not heard yet
        self.introduced: Mail | None = None  # whose envelope they are
        self._invited_by = self._opened
        # What the server has said in its answer to EHLO.
        self._pipelines = False
        self.most = inf  # octets that a mail may have (RFC 1870); no fixed limit where the server tells none

    @classmethod
    def open(cls, settings: Settings, stop: Stop | None = None, limit: float = inf) -> Self:
        """Connect to SMTP_URL until `limit` (`time.monotonic()`); raises ProviderDown, which names the phase."""
        server = settings.smtp
        try:
            return cls._ready(settings, server, Client(settings.smtp_connect_timeout, stop), limit)
        except ProviderDown as down:
            if down.receipt.phase != "starttls" or server.starttls != "optional" or server.user:
                raise
        # Encrypted where that works is all that was asked for (RFC 7435), and there is no password to protect.
        in_clear = replace(server, starttls="off")
        return cls._ready(settings, in_clear, Client(settings.smtp_connect_timeout, stop), limit)

    @classmethod
    def _ready(cls, settings: Settings, server: SmtpServer, client: Client, limit: float) -> Self:
        client.limit = limit
        connection = cls(client, settings, server)
        try:
            connection._connect(server)
            connection._hello()
            if not server.tls and server.starttls != "off":
                connection._encrypt(server)
            if server.user:
                connection._log_in(server)
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
        return self._mails > 1

    @property
    def tls(self) -> ssl.SSLSocket | None:
        """The socket, where it is encrypted."""
        return self._smtp.sock if isinstance(self._smtp.sock, ssl.SSLSocket) else None

    def offers(self, extension: str) -> bool:
        return bool(self._smtp.has_extn(extension))

    def usable(self) -> bool:
        """Whether it may carry one more mail: not too many, not too old, and alive after a pause."""
        now = time.monotonic()
        if (
            self._smtp.sock is None
            or self._mails >= self._settings.smtp_connection_messages
            or now - self._opened > self._settings.smtp_connection_age
        ):
            return False
        if now - self._used <= self._settings.smtp_connection_idle:
            return True
        try:
            return self._say("noop", "NOOP").code == 250
        except Dropped:
            return False

    def may_go_on(self) -> bool:
        """Whether the next mail's envelope may go with the end of this one (RFC 2920, 3.1)."""
        return (
            self._pipelines
            and self._mails < self._settings.smtp_connection_messages
            and time.monotonic() - self._opened <= self._settings.smtp_connection_age
        )

    def introduce(self, mail: Mail) -> None:
        """Say its whole envelope at once where the server allows that; the answers are heard one by one."""
        if self._pipelines:
            said = self._go_ahead(mail)
            with contextlib.suppress(OSError):  # There will be no answers then.
                self._smtp.say(said, len(self._ahead))

    def mail(self, mail: Mail) -> Reply:
        self._smtp.command_encoding = "utf-8" if mail.utf8 else "ascii"
        self._mails += 1
        reply = self._next("mail", _mail_line, mail)
        self._used = time.monotonic()
        within = max(self._settings.smtp_timeout, self._settings.smtp_data_timeout)
        self._invited_by = self._used + within
        return reply

    def rcpt(self, recipient: str) -> Reply:
        """Each has its time-out, and none is said later than SMTP_DATA_TIMEOUT: there may be many."""
        if time.monotonic() > self._invited_by:
            raise Dropped("rcpt", "the answers to all recipients took too long")
        return self._next("rcpt", _rcpt_line, recipient)

    def data(self) -> Reply:
        return self._next("data", str, _DATA)

    def content(self, content: bytes, following: Mail | None = None) -> Reply:
        """The mail itself, dot-stuffed (RFC 5321, 4.5.2). Only silence after its end leaves its fate unknown.

        The envelope of the `following` one goes with it.
        """
        self.introduced = None
        stuffed = _LINE_DOT.sub(b"..", content) + b".\r\n"
        along = self._go_ahead(following) if following is not None and len(stuffed) <= ALONG else b""
        sent = False
        try:
            sent = self._smtp.say_content(stuffed + along, 1 + len(self._ahead), len(stuffed))
            self._smtp.patience = self._settings.smtp_data_timeout
            self._smtp.limit += self._settings.smtp_data_timeout
            reply = self._smtp.hear(final=sent)
            while sent and reply.code // 100 == 3:  # "Go ahead" once more, and late: the mail's own answer follows.
                reply = self._smtp.hear(final=True)
        except _DROPS as error:
            raise Dropped("content", _why(error), content_sent=sent) from None
        self._smtp.patience = self._settings.smtp_timeout
        if not sent:  # It was refused before it was out: whatever the server waits for now, it is not a command.
            self.close()
        return reply

    def reset(self) -> None:
        """Forget the mail under way; a connection that cannot is closed."""
        with contextlib.suppress(Dropped):
            self._catch_up()
            if self._say("rset", "RSET").code == 250:
                return
        self.close()

    def quit(self) -> None:
        """Say goodbye, if that is quick."""
        if self._smtp.sock is not None and not self._ahead:
            with contextlib.suppress(Dropped):
                self._smtp.patience, self._smtp.limit = self._settings.smtp_quit_timeout, inf
                self._say("quit", "QUIT")
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

    def _catch_up(self) -> None:
        """Hear the answers to what was said ahead. A mail that the server waits for is ended with nothing in it."""
        while self._ahead:
            line = self._ahead[0]
            kind = self._next("rset", str, line).code // 100
            if kind == 2 and _DATA in self._ahead:  # It has a recipient after all, who must not get what is empty.
                raise Dropped("rset", "out of step")
            if kind == 3:
                with _dropping("rset"):
                    self._smtp.say(b".\r\n", 1)
                    self._smtp.hear()
        self.introduced = None

    def _connect(self, server: SmtpServer) -> None:
        with _dropping("connect"):
            self._smtp.reach(server.host, server.port)
        self._smtp.patience = self._settings.smtp_timeout
        if server.tls:
            with _dropping("tls"):
                self._smtp.encrypt(_tls(server, verified=True), server.host)
        with _dropping("greeting"):
            _demand("greeting", self._smtp.hear())

    def _hello(self) -> None:
        name = ehlo_name(self._settings.smtp_ehlo_name, self._smtp.sock)
        with _dropping("ehlo"):
            hello = Reply.of(*self._smtp.ehlo(name))
        if hello.code >= 500 and self._smtp.sock is not None and not self._needs_extensions:  # RFC 5321, 3.2
            with _dropping("ehlo"):
                hello = Reply.of(*self._smtp.docmd("HELO", name))
        _demand("ehlo", hello)
        self._pipelines = self._settings.smtp_pipelining == "auto" and self.offers("pipelining")
        told = self._smtp.esmtp_features.get("size", "").strip()
        self.most = int(told) if told.isascii() and told.isdecimal() and 0 < len(told) < 20 and int(told) else inf

    @property
    def _needs_extensions(self) -> bool:
        """Whether nothing may be sent to this server without STARTTLS or AUTH, which come with EHLO alone."""
        server = self._server
        return bool(server.user) or (server.starttls == "required" and not server.tls)

    def _encrypt(self, server: SmtpServer) -> None:
        required = server.starttls == "required"
        if not self.offers("starttls"):
            if required:
                raise ProviderDown("the mail server does not offer STARTTLS", phase="starttls")
            return
        _demand("starttls", self._say("starttls", "STARTTLS"))
        with _dropping("starttls"):
            self._smtp.encrypt(_tls(server, verified=required), server.host)
        self._hello()

    def _log_in(self, server: SmtpServer) -> None:
        if server.starttls != "off" and not isinstance(self._smtp.sock, ssl.SSLSocket):
            raise ProviderDown("the password is not sent in clear unless starttls=off says so", phase="auth")
        offered = self._smtp.esmtp_features.get("auth", "")
        _demand("auth", log_in(lambda line: self._say("auth", line), server, offered))

    def _next(self, phase: str, line: Callable[[T], str], about: T) -> Reply:
        """The answer to a line of an envelope, which is said now unless it was said ahead."""
        if not self._ahead:
            return self._say(phase, line(about))
        self._ahead.popleft()
        return self._hear(phase)

    def _say(self, phase: str, line: str) -> Reply:
        with _dropping(phase):
            self._smtp.putcmd(line)
        return self._hear(phase)

    def _hear(self, phase: str) -> Reply:
        try:
            return self._smtp.hear()
        except _DROPS as error:
            raise Dropped(phase, _why(error)) from None


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
