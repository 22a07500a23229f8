"""One SMTP connection (RFC 5321), phase by phase; the only user of smtplib.

smtplib's own `sendmail` cannot tell in which phase it failed, and that decides whether a mail may
have been taken; so the phases are spoken here, each with its own timeout.
"""

from __future__ import annotations

import contextlib
import re
import smtplib
import socket
import ssl
import time
from collections.abc import Iterator
from typing import NamedTuple

from actors.channels import ProviderDown, printable
from settings import Settings, SmtpServer

QUIT_TIMEOUT = 1.0  # seconds; nothing depends on the answer
_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?=\s|$)")  # RFC 3463
_LINE_DOT = re.compile(rb"(?m)^\.")


class Reply(NamedTuple):
    code: int
    enhanced_code: str | None
    text: str


class Dropped(Exception):
    """The connection ended or stayed silent for too long. `content_sent`: after the final dot went out."""

    def __init__(self, phase: str, text: str, *, content_sent: bool = False) -> None:
        super().__init__(text)
        self.phase, self.text, self.content_sent = phase, text, content_sent


class Connection:
    """A connection that is greeted, encrypted as asked, and logged in."""

    def __init__(self, smtp: smtplib.SMTP, settings: Settings) -> None:
        self._smtp, self._settings = smtp, settings
        self._opened = self._used = time.monotonic()
        self._mails = 0

    @classmethod
    def open(cls, settings: Settings) -> Connection:
        """Connect to SMTP_URL; raises ProviderDown, which names the phase."""
        server = settings.smtp
        client = _client(server, settings.smtp_connect_timeout)
        connection = cls(client, settings)
        try:
            connection._greet(server)
            client.sock.settimeout(settings.smtp_timeout)  # type: ignore[union-attr]
            connection._hello()
            if not server.tls and server.starttls != "off":
                connection._encrypt(server)
            if server.user:
                connection._log_in(server)
        except Dropped as drop:
            connection.close()
            raise ProviderDown(drop.text, phase=drop.phase) from None
        except ProviderDown:
            connection.close()
            raise
        return connection

    @property
    def reused(self) -> bool:
        """Whether a mail went over it before this one."""
        return self._mails > 0

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

    def mail(self, sender: str, utf8: bool) -> Reply:
        options = " SMTPUTF8 BODY=8BITMIME" if utf8 else ""
        self._smtp.command_encoding = "utf-8" if utf8 else "ascii"
        self._used = time.monotonic()
        return self._say("mail", f"MAIL FROM:<{sender}>{options}")

    def rcpt(self, recipient: str) -> Reply:
        self._mails += 1
        return self._say("rcpt", f"RCPT TO:<{recipient}>")

    def data(self) -> Reply:
        return self._say("data", "DATA")

    def content(self, content: bytes) -> Reply:
        """The mail itself, dot-stuffed (RFC 5321, 4.5.2). Only silence after its end leaves its fate unknown."""
        with _dropping("content"):
            # In one piece: a second small packet would wait for the delayed acknowledgement of the first.
            self._smtp.send(_LINE_DOT.sub(b"..", content) + b".\r\n")
            self._settle_in(self._settings.smtp_data_timeout)
        with _dropping("content", content_sent=True):
            reply = _reply(self._smtp.getreply())
        self._settle_in(self._settings.smtp_timeout)
        return reply

    def reset(self) -> None:
        """Forget the mail under way; a connection that cannot is closed."""
        with contextlib.suppress(Dropped):
            if self._say("rset", "RSET").code == 250:
                return
        self.close()

    def quit(self) -> None:
        """Say goodbye, if that is quick."""
        if self._smtp.sock is not None:
            with contextlib.suppress(Dropped):
                self._settle_in(QUIT_TIMEOUT)
                self._say("quit", "QUIT")
        self.close()

    def close(self) -> None:
        self._smtp.close()

    def _greet(self, server: SmtpServer) -> None:
        with _dropping("connect"):
            greeting = _reply(self._smtp.connect(server.host, server.port))
        _demand("greeting", greeting, 220)

    def _hello(self) -> None:
        with _dropping("ehlo"):
            hello = _reply(self._smtp.ehlo(_own_name(self._smtp.sock)))
        _demand("ehlo", hello, 250)

    def _encrypt(self, server: SmtpServer) -> None:
        required = server.starttls == "required"
        if not self.offers("starttls"):
            if required:
                raise ProviderDown("the mail server does not offer STARTTLS", phase="starttls")
            return
        with _dropping("starttls"):
            _demand("starttls", _reply(self._smtp.starttls(context=_tls(server, verified=required))), 220)
        self._hello()

    def _log_in(self, server: SmtpServer) -> None:
        with _dropping("auth"):
            try:
                self._smtp.login(server.user, server.password)
            except smtplib.SMTPResponseException as refusal:
                _demand("auth", _reply((refusal.smtp_code, refusal.smtp_error)), 235)

    def _say(self, phase: str, line: str) -> Reply:
        with _dropping(phase):
            self._smtp.putcmd(line)
            return _reply(self._smtp.getreply())

    def _settle_in(self, seconds: float) -> None:
        if self._smtp.sock is not None:
            self._smtp.sock.settimeout(seconds)


def _client(server: SmtpServer, timeout: float) -> smtplib.SMTP:
    # A host name of our own, or smtplib asks DNS for one, which can take its time.
    if server.tls:
        return smtplib.SMTP_SSL(local_hostname="localhost", timeout=timeout, context=_tls(server, verified=True))
    return smtplib.SMTP(local_hostname="localhost", timeout=timeout)


def _tls(server: SmtpServer, *, verified: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=server.ca or None)
    if not verified:  # Opportunistic: better than plain text, no better than that (RFC 7435).
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _own_name(sock: socket.socket | None) -> str:
    """The host's full name, or its address literal where it has none (RFC 5321, 4.1.4)."""
    name = socket.gethostname()
    if "." in name or sock is None:
        return name
    address = sock.getsockname()[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def _reply(answer: tuple[int, bytes | str]) -> Reply:
    code, raw = answer
    text = printable(raw if isinstance(raw, str) else raw.decode("utf-8", "replace"))
    enhanced = _ENHANCED.match(text)
    return Reply(code, enhanced and enhanced[0], f"{code} {text}".strip())


def _demand(phase: str, reply: Reply, code: int) -> None:
    if reply.code != code:
        raise ProviderDown(reply.text, phase=phase, reply_code=reply.code, enhanced_code=reply.enhanced_code)


@contextlib.contextmanager
def _dropping(phase: str, *, content_sent: bool = False) -> Iterator[None]:
    """Turn every way a connection can end into Dropped, which knows the phase."""
    try:
        yield
    except (OSError, smtplib.SMTPException) as error:
        raise Dropped(phase, _why(error), content_sent=content_sent) from None


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return printable(str(error)) or type(error).__name__
