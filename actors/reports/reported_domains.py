"""Bounces that are about our own domain: they open the breaker of their provider and From domain."""

from __future__ import annotations

from collections.abc import Mapping

from actors.channels.email.mail_senders import MailSenders
from actors.channels.email.mailboxes import mail_from
from actors.channels.registry import of_scheme
from actors.refused_domains import waits
from db import refused_domains
from db.lifecycle.evidence import Evidence
from db.refused_domains import Refusal, Waits
from runtime import logs
from settings import Settings

log = logs.get("reports")


class ReportedDomains:
    """Counts bounces of the class `sender`. `senders`: those of each mail provider. Call it within `connection()`."""

    def __init__(self, senders: Mapping[str, MailSenders], limits: Waits) -> None:
        self._senders, self._limits = senders, limits

    @classmethod
    def load(cls, settings: Settings) -> ReportedDomains:
        """Return it for the providers of the settings."""
        mails = [one for one in settings.known_providers if of_scheme(one.scheme).name == "email"]
        own = {one.name: mail_from(one.sender or settings.smtp.sender).domain for one in mails}
        return cls({name: MailSenders(domain) for name, domain in own.items()}, waits(settings))

    @property
    def own(self) -> dict[str, str]:
        """The domain of the sender of mails that name none, by mail provider."""
        return {name: one.own_domain for name, one in self._senders.items()}

    def count(self, said: Evidence) -> None:
        """Count a report, if it is about our domain or shows that mails arrive."""
        refused = said.kind == "bounced" and said.bounce_class == "sender"
        if not refused and not (said.kind == "delivered" and refused_domains.any_reported()):
            return
        sent = refused_domains.sent_through(said.notification_id)
        senders = self._senders.get(sent.provider) if sent else None
        if sent is None or senders is None:
            return
        domain = senders.domain_of(sent.sender)
        if not refused:
            refused_domains.delivered(sent.provider, domain)
            return
        refusal = Refusal(sent.provider, domain, said.text)
        if refused_domains.reported(refusal, self._limits, (said.recipient or "").rpartition("@")[2]):
            log.error("domain.refused", provider=sent.provider, domain=domain, reason=said.text)
