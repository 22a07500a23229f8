"""Mails to one SMTP server. Each sender keeps its connection from mail to mail."""

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
from actors.channels.connections import Connections
from actors.channels.email.domain_limits import of_provider as domain_limits
from actors.channels.email.identity import Identities
from actors.channels.email.mail import Mail, compose
from actors.channels.email.mail_senders import MailSenders
from actors.channels.email.mailboxes import mail_from
from actors.channels.email.refusals import says_too_many
from actors.channels.email.signer import Signer
from actors.channels.email.smtp import Connection
from actors.channels.email.smtp_sender import SmtpSender
from actors.channels.email.smtp_socket import Stop
from actors.channels.email.unsubscribing import url
from actors.channels.evidence_sources import EvidenceSources
from actors.channels.lease import ConnectionLease
from actors.channels.rate import SharedRate
from actors.reports.reference import header
from db.records import Claimed
from settings import Settings
from settings.providers import Provider
from settings.smtp_url import SmtpServer

# A mail that is refused over an old connection is tried over a new one. If that was no use IN_VAIN times in a row, it
# is not done for IN_VAIN_FOR seconds.
IN_VAIN, IN_VAIN_FOR = 3, 60.0
LAST_ANSWER = 540.0  # seconds after a stop; Dramatiq gives its threads 600, and recording an outcome needs a part


class SmtpProvider:
    """Mail server of a provider, with the limits that this process has learned about it."""

    pipelines = True

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        settings: Settings,
        provider: Provider,
        lease: ConnectionLease | None = None,
        rate: SharedRate | None = None,
        signer: Signer | None = None,
        identities: Identities | None = None,
    ) -> None:
        self.provider = provider.name
        self.settings = settings
        self.limits = Connections(provider.connections, lease, rate)
        if not isinstance(provider.account, SmtpServer):
            raise TypeError(f"the provider {provider.name} is no mail server")
        self.shaping = domain_limits(settings, provider, self.limits, lease)
        self.ready = self.shaping.ready  # called for each mail
        self._server = provider.account
        self._identities = identities and identities.through(self._server.return_path)
        self._reported_by = provider.reports.kind if provider.reports else ""
        marked = self._identities is not None and bool(self._identities.domain or self._reported_by)
        self.evidence_sources = EvidenceSources(reports=marked)
        self._signer = signer if provider.account.dkim == "sign" else None
        self._first: asyncio.Future[None] | None = None  # done when the first connection is open or refused
        self.idle = settings.smtp.connection_idle
        self.send_limit = settings.delivery.send_limit(settings.smtp.data_timeout)
        self.own_sender = mail_from(provider.sender or settings.smtp.sender)
        self.from_domains = MailSenders(self.own_sender.domain)
        self.stopping = Stop()
        self._in_vain, self._in_vain_since = 0, 0.0

    def sender(self) -> SmtpSender:
        return SmtpSender(self)

    def stop(self) -> None:
        """Stop: give up unsent mails SHUTDOWN_GRACE seconds from now. Sent mails wait LAST_ANSWER for their answer."""
        now = time.monotonic()
        self.stopping.sending, self.stopping.answers = now + self.settings.process.shutdown_grace, now + LAST_ANSWER

    async def start(self) -> None:
        """Lease this process's share of the connections."""
        await self.limits.start()

    async def close(self) -> None:
        await self.shaping.close()
        await self.limits.stop()

    async def connect(self, limit: float) -> Connection:
        """Open a connection until `limit` (`time.monotonic()`). While none is open, only one is tried at a time.

        Raises:
            NoConnection: It was refused, but other connections work.
            Throttled: It was refused because there are too many, and none of ours works.
            ProviderDown: It was refused, and no other connection works.
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
            self._first.exception()  # asyncio would log an exception that nobody has retrieved.
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
            connection = await Connection.open(self.settings.smtp, self._server, self.stopping, limit, messages)
        except ProviderDown as down:
            full = says_too_many(down)
            if await self.limits.refused(begun, reached=down.receipt.phase != "connect", full=full):
                raise NoConnection(str(down)) from None
            if full:  # The server is up, but others use its connections, or we have opened too many lately.
                phase, code, enhanced_code, text, _ = down.receipt
                raise Throttled(text, phase=phase, reply_code=code, enhanced_code=enhanced_code) from None
            raise
        self.limits.opened(connection)
        return connection

    def tried_anew(self, *, in_vain: bool) -> None:
        """Record a second try over a new connection. `in_vain`: the mail was refused again."""
        self._in_vain = self._in_vain + 1 if in_vain else 0
        self._in_vain_since = time.monotonic()

    @property
    def try_anew(self) -> bool:
        """True if a mail that was refused over an old connection should be tried over a new one."""
        return self._in_vain < IN_VAIN or time.monotonic() - self._in_vain_since > IN_VAIN_FOR

    async def composed(self, notification: Claimed, contents: Sequence[bytes]) -> Mail:
        """Compose a mail with attachments in a thread, because it would block the event loop."""
        return await asyncio.to_thread(self.compose, notification, contents)

    def compose(self, notification: Claimed, contents: Sequence[bytes] = ()) -> Mail:
        mail = self._marked(notification, contents)
        if self._signer is None:
            return mail
        return self._signer.signed(mail, notification, own=mail.sender == self.own_sender.address)

    def _marked(self, notification: Claimed, contents: Sequence[bytes]) -> Mail:
        """Return the mail, with the marks by which reports about it are recognised."""
        leave = url(notification.id, self.settings.public) if notification.mail else None
        if self._identities is None:
            return compose(notification, self.own_sender, contents, leave)
        identity = self._identities.of(notification)
        mail = compose(notification, self.own_sender, contents, leave, identity)
        if self._reported_by:
            mail = mail._replace(content=header(self._reported_by, identity.token) + mail.content)
        return mail

    def blamed(self, mail: Mail) -> type[Undelivered]:
        """Return the exception for a refused sender.

        If the sender is our own, the notification is not at fault. A sender that a client chose must not open the
        breaker for everybody.
        """
        return ProviderDown if mail.sender == self.own_sender.address else Refused
