"""Mail providers that are reached by HTTP."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from actors.channels import Receipt, Undelivered, printable
from actors.channels.email.domain_limits import of_provider as domain_limits
from actors.channels.email.http import brevo, mailgun, postmark, resend, searching, sendgrid, ses
from actors.channels.email.http.outgoing import Outgoing
from actors.channels.email.http.searching import Search
from actors.channels.email.identity import Identities
from actors.channels.email.mail_senders import MailSenders
from actors.channels.email.mailboxes import mail_from
from actors.channels.email.unsubscribing import url
from actors.channels.evidence_sources import EvidenceSources, Found
from actors.channels.http_api import Answer, Request
from actors.channels.http_provider import TIMEOUT, HttpProvider, Posting
from actors.channels.lease import ConnectionLease
from actors.channels.rate import SharedRate
from actors.reports import tokens
from actors.reports.event import Event
from db.records import Claimed
from settings import Settings
from settings.http_account import HttpAccount
from settings.providers import Provider


class Api(Protocol):
    """Module of one provider."""

    def request(self, outgoing: Outgoing, account: HttpAccount) -> Request:
        """Return the request that sends a mail; raise Undelivered if the provider cannot send it."""

    def judge(self, answer: Answer, blamed: type[Undelivered]) -> Receipt:
        """Return the receipt, or raise what an answer means. `blamed`: what a refusal of the sender means."""


APIS: Mapping[str, Api] = {
    "ses": ses,
    "postmark": postmark,
    "sendgrid": sendgrid,
    "mailgun": mailgun,
    "resend": resend,
    "brevo": brevo,
}
# Seconds for which a provider recognises a mail that is repeated with the same idempotency key, less some time for the
# way there. Resend keeps keys for 24 hours, Brevo for 15 minutes at least.
REPLAYED_WITHIN: Mapping[str, float] = {"resend": 23 * 3_600.0, "brevo": 600.0}


class HttpMailProvider(HttpProvider):
    """Mail provider with an HTTP API."""

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        settings: Settings,
        provider: Provider,
        lease: ConnectionLease | None = None,
        rate: SharedRate | None = None,
        context: ssl.SSLContext | None = None,
        timeout: float = TIMEOUT,
        identities: Identities | None = None,
    ) -> None:
        super().__init__(provider, settings, lease, rate, self._posting, context, timeout)
        self.shaping = domain_limits(settings, provider, self.limits, lease)
        self._identities = identities
        self.api = APIS[self.account.kind]
        self.evidence_sources = EvidenceSources(
            reports=identities is not None and provider.reports is not None,
            replay_within=REPLAYED_WITHIN.get(self.account.kind, 0.0),
            look_up=self._look_up if identities is not None and self.account.kind in searching.APIS else None,
        )
        own = f"the option from of {self.account.variable}"
        self.own_sender = mail_from(provider.sender, own) if provider.sender else mail_from(settings.smtp.sender)
        self.from_domains = MailSenders(self.own_sender.domain)

    def ready(self, notification: Claimed) -> bool:
        """Return whether the domains of its recipients take it now."""
        return self.shaping.ready(notification)

    async def close(self) -> None:
        await self.shaping.close()
        await super().close()

    def outgoing(self, notification: Claimed, contents: Sequence[bytes]) -> Outgoing:
        leave = url(notification.id, self.settings.public) if notification.mail else None
        identity = self._identities and self._identities.of(notification)
        return Outgoing(notification, self.own_sender, datetime.now(UTC), contents, leave, identity)

    async def _look_up(self, id: int, recipient: str, since: datetime) -> Found | None:
        """Ask the provider whether it has taken a notification, over a connection of its own."""
        api, identities = searching.APIS[self.account.kind], self._identities
        if identities is None:
            return None
        search = Search(tokens.token(id, identities.keys[0]), recipient, since)
        answer = await self.get(api.request(search, self.account))
        taken_as = api.found(answer, search)
        if taken_as is None:
            return None
        text = printable(f"a look-up found it as {taken_as}")
        return Found(Event("taken", search.token, taken_as, None, None, None, text, None, None), answer.body)

    def _posting(self, notification: Claimed, contents: Sequence[bytes]) -> Posting:
        outgoing = self.outgoing(notification, contents)
        request = self.api.request(outgoing, self.account)
        return Posting(request, lambda answer: self.api.judge(answer, outgoing.blamed))
