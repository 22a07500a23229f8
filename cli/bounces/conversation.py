"""Conversation with a mail server that brings a report: what aiosmtpd calls for its commands."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session, TLSSetupException

from actors.channels.email.addresses import normalised
from actors.reports import tokens
from actors.reports.keys import ReportKeys
from cli.submission.connections import Connections, Conversation
from db import incoming_reports
from db.database import Unacceptable, Unavailable, connection
from db.incoming_reports import Incoming
from runtime import logs

log = logs.get("bounces")

MOST_RECIPIENTS = 100  # RFC 5321, section 4.5.3.1.8
CLOSING = "421 4.3.2 The server is stopping: send the mail again"
AWAY = "451 4.3.0 The report cannot be stored now: send it again"


class ReportConversation(Conversation):
    """Connection that takes lines longer than RFC 5321 allows: the returned mail may have them."""

    line_length_limit = 100_000  # octets


class LmtpConversation(ReportConversation, LMTP):
    """Connection over LMTP (RFC 2033)."""


class Bounces:
    """Hooks of all conversations. The methods' names are those that aiosmtpd looks for."""

    def __init__(self, keys: ReportKeys, accept: Collection[str], connections: Connections, *, lmtp: bool) -> None:
        self._keys, self._connections, self._lmtp = keys, connections, lmtp
        self._accepted = {normalised(address) for address in accept}
        # Threads that keep their connections to the database.
        self._storing = ThreadPoolExecutor(2, thread_name_prefix="bounces")

    async def handle_MAIL(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._connections.stopping:
            return CLOSING
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if len(envelope.rcpt_tos) >= MOST_RECIPIENTS:
            return "452 4.5.3 Too many recipients: send the mail again for the rest"
        if not self._exists(address):
            return "550 5.1.1 There is no such address"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self._connections.stopping:
            return CLOSING
        content = envelope.original_content or b""
        incoming = Incoming("smtp", content, " ".join(envelope.rcpt_tos))
        with self._connections.storing():
            try:
                id = await asyncio.get_running_loop().run_in_executor(self._storing, _store, incoming)
            except (Unavailable, Unacceptable) as error:
                log.warning("report.not_stored", error=str(error))
                return AWAY
        log.info("report.stored", report=id, source="smtp", size=len(content))
        # LMTP has a reply for each recipient.
        return "\r\n".join([f"250 2.0.0 Stored as report {id}"] * (len(envelope.rcpt_tos) if self._lmtp else 1))

    async def handle_exception(self, error: Exception) -> str:
        """Return the reply after an error that nobody foresaw; the client learns nothing of its cause."""
        if isinstance(error, TLSSetupException):
            log.info("bounces.tls_failed", error=str(error.__cause__))
            return "454 4.7.0 The TLS handshake failed"
        log.error("bounces.failed", exc_info=error)
        return "451 4.3.0 The server failed: its log has the cause"

    def close(self) -> None:
        """Close the connections to the database."""
        self._storing.shutdown()

    def _exists(self, address: str) -> bool:
        if normalised(address) in self._accepted:
            return True
        found = tokens.in_addresses(address)
        return any(tokens.notification_of(one, self._keys.keys) is not None for one in found)


def _store(incoming: Incoming) -> int:
    with connection():
        return incoming_reports.store(incoming)
