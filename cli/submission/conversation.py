"""Conversation with an SMTP client: what aiosmtpd calls for its commands."""

from __future__ import annotations

import asyncio
import binascii
from base64 import b64decode
from typing import Any

from aiosmtpd.smtp import MISSING, SMTP, AuthResult, Envelope, Session, TLSSetupException

from actors.channels.email.addresses import address_fault
from cli.submission import notifications
from cli.submission.api import ApiAway, NotificationApi
from cli.submission.connections import Connections
from cli.submission.outcome import AWAY, outcome
from cli.submission.refusal import MailRefused, reply
from runtime import logs
from settings.content import ContentSettings

log = logs.get("submission")

CONVERSIONS = 2  # mails at a time that are parsed, each in a thread: one may take a second of CPU time
NEEDS_KEY = "530 5.7.0 Authentication required: log in with an API key as the password"
CLOSING = "421 4.3.2 The server is stopping: send the mail again"


class Submission:
    """Hooks of all conversations. The methods' names are those that aiosmtpd looks for."""

    def __init__(self, api: NotificationApi, content: ContentSettings, connections: Connections) -> None:
        self._api, self._connections = api, connections
        self._recipients = content.recipients_limit
        self._converting = asyncio.Semaphore(CONVERSIONS)

    async def handle_EHLO(  # noqa: N802
        self, _server: SMTP, session: Session, _envelope: Envelope, name: str, answers: list[str]
    ) -> list[str]:
        session.host_name = name
        return [*answers[:-1], "250-PIPELINING", answers[-1]]

    async def auth_PLAIN(self, server: SMTP, args: list[str]) -> AuthResult:  # noqa: N802
        """Take `authorization identity NUL user name NUL password` (RFC 4616); only the password counts."""
        given = await _given(server, args, "")
        if isinstance(given, AuthResult):
            return given
        if given.count(b"\0") != 2:
            return AuthResult(success=False, handled=False, message="501 5.5.2 AUTH PLAIN needs a name and a password")
        return await self._login(given.rpartition(b"\0")[2])

    async def auth_LOGIN(self, server: SMTP, args: list[str]) -> AuthResult:  # noqa: N802
        """Take a user name, which does not count, and a password."""
        name = await _given(server, args, server.AuthLoginUsernameChallenge)
        if isinstance(name, AuthResult):
            return name
        given = await _given(server, args[:1], server.AuthLoginPasswordChallenge)
        return given if isinstance(given, AuthResult) else await self._login(given)

    async def _login(self, password: bytes) -> AuthResult:
        key = password.decode("latin-1")
        try:
            if key and key.isascii() and key.isprintable() and await self._api.admits(key):
                return AuthResult(success=True, auth_data=key)
        except ApiAway as error:
            log.warning("submission.api_away", error=str(error))
            return AuthResult(success=False, handled=False, message="454 4.7.0 The API does not answer: try again")
        log.warning("submission.login_refused")
        text = "The password must be an API key: it is unknown, revoked or expired"
        return AuthResult(success=False, handled=False, message=f"535 5.7.8 {text}")

    async def handle_MAIL(  # noqa: N802
        self, _server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._connections.stopping:
            return CLOSING
        if session.auth_data is None:
            try:
                if not await self._api.admits(""):
                    return NEEDS_KEY
            except ApiAway as error:
                return _away(error)
            session.auth_data = ""  # type: ignore[assignment]
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if len(envelope.rcpt_tos) >= self._recipients:
            return reply("452 4.5.3", f"A mail may have at most {self._recipients} recipients")
        if fault := address_fault(address):
            return reply("553 5.1.3", f"RCPT TO must be a mail address: {fault}")
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self._connections.stopping:
            return CLOSING
        content = envelope.original_content or b""
        with self._connections.storing():
            try:
                async with self._converting:
                    found = await asyncio.to_thread(notifications.read, content, envelope.rcpt_tos)
                answer = await self._api.store(found, session.auth_data or "")
            except MailRefused as refused:
                log.info("submission.refused", code=refused.code, size=len(content))
                return refused.reply
            except ApiAway as error:
                return _away(error)
        said = outcome(answer, found.number)
        if said.reply.startswith("250"):
            log.routine("submission.accepted", said.ids[0], ids=said.ids, size=len(content))
        else:
            log.info("submission.refused", code=said.reply[:9], ids=said.ids, size=len(content))
        return said.reply

    async def handle_exception(self, error: Exception) -> str:
        """Return the reply after an error that nobody foresaw; the client learns nothing of its cause."""
        if isinstance(error, TLSSetupException):
            log.info("submission.tls_failed", error=str(error.__cause__))
            return "454 4.7.0 The TLS handshake failed"
        log.error("submission.failed", exc_info=error)
        return "451 4.3.0 The server failed: its log has the cause"


async def _given(server: SMTP, args: list[str], challenge: str) -> Any:
    """Return what the client sent behind the mechanism or after a challenge; an AuthResult if it was refused."""
    if len(args) == 1:
        try:
            given = await server.challenge_auth(challenge)
        except ValueError:  # of asyncio's StreamReader
            return AuthResult(success=False, handled=False, message="500 5.5.6 The answer to a challenge is too long")
        return AuthResult(success=False) if given is MISSING else given
    try:
        return b64decode(args[1], validate=True)
    except (binascii.Error, ValueError):
        return AuthResult(success=False, handled=False, message="501 5.5.2 The argument of AUTH is not base64")


def _away(error: ApiAway) -> str:
    log.warning("submission.api_away", error=str(error))
    return f"{AWAY} The API does not answer: send the mail again"
