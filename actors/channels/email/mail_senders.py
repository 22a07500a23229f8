"""The From domain of a mail, and refusals that are about it."""

from __future__ import annotations

from actors.channels.email.answers import Reply
from actors.channels.email.mailboxes import Mailbox
from actors.channels.email.refusals import concerns_us
from actors.reports.bounce_class import bounce_class, code_in
from db.records import Attempt, Claimed


class MailSenders:
    """The senders of mails through one provider, whose own sender is `own_domain`."""

    def __init__(self, own_domain: str) -> None:
        self.own_domain = own_domain.casefold()

    def domain(self, notification: Claimed) -> str:
        """Return the domain of the From of a notification, in lower case."""
        return self.domain_of((notification.mail or {}).get("from"))

    def domain_of(self, given: str | None) -> str:
        """Return the domain of a From that a client gave, or of the own one."""
        if not given:
            return self.own_domain
        try:
            return Mailbox.parse(given).domain.casefold()
        except ValueError:
            return given.rpartition("@")[2].rstrip("> ").casefold()

    def refused(self, attempt: Attempt) -> bool:
        """Return whether the provider refused the mail for good because of its sender: a 5.7.x about SPF and the like.

        Of a provider without enhanced codes, the words may have one.
        """
        text = attempt.text or ""
        code = attempt.enhanced_code or code_in(text)
        if attempt.outcome not in ("refused", "provider-down") or code is None or not code.startswith("5.7."):
            return False
        reply = Reply(attempt.reply_code or 550, code, text)
        return bounce_class(code, text) == "sender" and not concerns_us(attempt.phase or "", reply)
