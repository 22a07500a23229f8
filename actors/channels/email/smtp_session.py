"""SMTP session up to its first mail (RFC 5321): connect, TLS, greeting, EHLO, STARTTLS, login."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator, Sequence
from math import inf

from actors import spans
from actors.channels import ProviderDown, printable
from actors.channels.email.answers import Reply
from actors.channels.email.ehlo_name import ehlo_name
from actors.channels.email.login import censored, log_in
from actors.channels.email.replies import Client
from runtime import metrics
from settings.smtp import SmtpSettings
from settings.smtp_url import SmtpServer

DROPS = (OSError, UnicodeError)  # A host name that is malformed raises UnicodeError.


class Dropped(Exception):
    """The connection ended, timed out or is out of step. `content_sent`: this happened after the final dot."""

    def __init__(self, phase: str, text: str, *, content_sent: bool = False) -> None:
        super().__init__(text)
        self.phase, self.text, self.content_sent = phase, text, content_sent


class Session:
    """SMTP session. `begin` connects, encrypts it as configured, and logs in."""

    def __init__(self, smtp: Client, settings: SmtpSettings, server: SmtpServer) -> None:
        self._smtp, self._settings, self._server = smtp, settings, server
        self._extensions: dict[str, str] = {}  # parameters from the answer to EHLO, by keyword in lower case
        self._pipelines = self._dsn = False
        self.most = inf  # octets that a mail may have (RFC 1870); infinite if the server announces no fixed limit

    async def begin(self) -> None:
        """Do everything that comes before a mail.

        Raises:
            ProviderDown: A phase failed; the exception names it. The connection is closed.
        """
        try:
            await self._begin(self._server)
        except Dropped as drop:
            metrics.connections["failed"].inc()
            self.close()
            raise ProviderDown(censored(drop.text, self._server), phase=drop.phase) from None
        except ProviderDown as down:
            metrics.connections["failed"].inc()
            self.close()
            phase, code, enhanced_code, text, _ = down.receipt
            text = censored(text, self._server)
            raise ProviderDown(text, phase=phase, reply_code=code, enhanced_code=enhanced_code) from None
        metrics.connections["opened"].inc()

    def offers(self, extension: str) -> bool:
        """Return whether the server offers an extension; `extension`: its keyword in lower case."""
        return extension in self._extensions

    @property
    def tls(self) -> ssl.SSLSocket | None:
        """The socket if it is encrypted, else None."""
        return self._smtp.sock if isinstance(self._smtp.sock, ssl.SSLSocket) else None

    @property
    def alive(self) -> bool:
        """True if the connection is open, as far as known."""
        return self._smtp.alive

    def close(self) -> None:
        """Close the connection."""
        self._smtp.close()

    async def _begin(self, server: SmtpServer) -> None:
        with spans.smtp("connect", server):
            await self._connect(server)
        with spans.smtp("EHLO", server):
            await self._hello()
        if not server.tls and server.starttls != "off":
            await self._encrypt(server)
        if server.user:
            with spans.smtp("AUTH", server):
                await self._log_in(server)

    async def _connect(self, server: SmtpServer) -> None:
        with dropping("connect"):
            await self._smtp.reach(server.host, server.port)
        self._smtp.timeout = self._settings.timeout
        if server.tls:
            with dropping("tls"):
                await self._smtp.encrypt(_tls(server, verified=True), server.host)
        with dropping("greeting"):
            _demand("greeting", await self._smtp.hear())

    async def _hello(self) -> None:
        name = ehlo_name(self._settings.ehlo_name, self._smtp.sock)
        with dropping("ehlo"):
            await self._smtp.say(f"EHLO {name}\r\n".encode("ascii"), 1)
            hello, (_, *lines) = await self._smtp.hear_lines()
            self._extensions = _extensions(lines) if hello.code // 100 == 2 else {}
            # RFC 5321, section 3.2: a server that refuses EHLO may accept HELO.
            if hello.code >= 500 and self._smtp.sock is not None and not self._needs_extensions:
                hello = await self._smtp.command(f"HELO {name}")
        _demand("ehlo", hello)
        self._pipelines = self._settings.pipelining == "auto" and self.offers("pipelining")
        self._dsn = self._server.dsn and self.offers("dsn")
        told = self._extensions.get("size", "")
        self.most = int(told) if told.isascii() and told.isdecimal() and 0 < len(told) < 20 and int(told) else inf

    @property
    def _needs_extensions(self) -> bool:
        """True if the server's settings require STARTTLS or AUTH, which need EHLO."""
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
            with dropping("starttls"):
                await self._smtp.encrypt(_tls(server, verified=required), server.host)
        with spans.smtp("EHLO", server):
            await self._hello()

    async def _log_in(self, server: SmtpServer) -> None:
        if server.starttls != "off" and not isinstance(self._smtp.sock, ssl.SSLSocket):
            text = f"the password is not sent unencrypted unless {server.variable} has starttls=off"
            raise ProviderDown(text, phase="auth")
        offered = self._extensions.get("auth", "")
        _demand("auth", await log_in(lambda line: self._say("auth", line), server, offered))

    async def _say(self, phase: str, line: str) -> Reply:
        with dropping(phase):
            await self._smtp.say(f"{line}\r\n".encode(self._smtp.encoding), 1)
        return await self._hear(phase)

    async def _hear(self, phase: str) -> Reply:
        try:
            return await self._smtp.hear()
        except DROPS as error:
            raise Dropped(phase, explained(error)) from None


@contextlib.contextmanager
def dropping(phase: str) -> Iterator[None]:
    """Convert every error of a connection to Dropped, with the phase."""
    try:
        yield
    except DROPS as error:
        raise Dropped(phase, explained(error)) from None


def explained(error: Exception) -> str:
    """Return the text for an error of the connection."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return printable(str(error)) or type(error).__name__


def _extensions(lines: Sequence[str]) -> dict[str, str]:
    """Parse the answer to EHLO (RFC 5321, section 4.1.1.1). Return the parameters by keyword in lower case.

    Some servers send "AUTH=PLAIN LOGIN", either instead of the correct form or in addition to it.
    """
    offered: dict[str, str] = {}
    for line in lines:
        keyword, _, parameters = line.strip().replace("=", " ", 1).partition(" ")
        key = keyword.lower()
        offered[key] = f"{offered.get(key, '')} {parameters}".strip() if key == "auth" else parameters.strip()
    return offered


def _tls(server: SmtpServer, *, verified: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=server.ca or None)
    if not verified:  # Opportunistic encryption is better than none, but does not authenticate (RFC 7435).
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _demand(phase: str, reply: Reply) -> None:
    if reply.code // 100 != 2:
        raise ProviderDown(reply.text, phase=phase, reply_code=reply.code, enhanced_code=reply.enhanced_code)
