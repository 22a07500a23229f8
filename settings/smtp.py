"""Settings of the mail server and of the conversation with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from settings import domain_limits, providers
from settings.domain_limits import DomainLimit
from settings.errors import SettingsError
from settings.group import Group, choice, fault, number, secret, text
from settings.hosts import is_address_literal, is_domain_name
from settings.providers import Provider
from settings.smtp_url import SmtpServer

GMAIL = "smtp.gmail.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpSettings(Group):
    """Read by actors.channels.email."""

    url: str = secret("SMTP_URL")
    """The mail server: `smtp://user:pass@host:587` or `smtps://user:pass@host:465`."""
    gmail_user: str = text("EMAIL_USER")
    """A Gmail account to send through if SMTP_URL is not set."""
    gmail_password: str = secret("EMAIL_PASS")
    """The app password of that Gmail account."""
    mail_from: str = text("MAIL_FROM")
    """The sender of all mails; the default is the SMTP user, if that is an address."""
    ehlo_name: str = text("SMTP_EHLO_NAME")
    """The name of this host for EHLO; the default is the host's full name, else its address."""
    connect_timeout: float = number("SMTP_CONNECT_TIMEOUT", 10, "seconds", low=0.1, high=300)
    """The time to connect to one address of the mail server."""
    timeout: float = number("SMTP_TIMEOUT", 300, "seconds", low=0.1, high=600)
    """The time for the greeting, for each reply, and for each piece of a mail to be accepted by the network
    (RFC 5321, 4.5.3.2)."""
    data_timeout: float = number("SMTP_DATA_TIMEOUT", 600, "seconds", low=0.1, high=3_600)
    """The time for the reply to a whole mail, and for the replies to all of its recipients."""
    pipelining: str = choice("SMTP_PIPELINING", "auto", "off")
    """`auto` sends several commands at once if the mail server offers PIPELINING (RFC 2920). `off` sends them one by
    one, for a server behind a proxy that cannot handle it."""
    connection_messages: int = number("SMTP_CONNECTION_MESSAGES", 100, "mails", low=1, high=1_000_000)
    """How many mails are sent over one connection at most. The workers also learn a lower limit from the server's
    answers."""
    connection_idle: float = number("SMTP_CONNECTION_IDLE", 5, "seconds", low=0, high=3_600)
    """An idle connection is closed after this long, so that other processes and programs can use it."""
    throttled_max: float = number("SMTP_THROTTLED_MAX", 86_400, "seconds", low=0, high=30 * 86_400)
    """How long a mail may be refused because of our sending rate without losing an attempt; `0` makes each refusal
    cost one."""

    domains: str = text("DOMAIN_LIMITS")
    """The most mails to recipient domains, per second and at a time, for each mail provider: `gmail.com=20/s,5`,
    several separated by `;`."""

    @property
    def limits_of_domains(self) -> Mapping[str, DomainLimit]:
        """The limits of DOMAIN_LIMITS, by domain; raises SettingsError."""
        return domain_limits.parse("DOMAIN_LIMITS", self.domains)

    @property
    def provider(self) -> Provider | None:
        """The provider of SMTP_URL or of the Gmail account, None if neither is set; raises SettingsError."""
        if self.url:
            return providers.parse("SMTP_URL", self.url)
        if self.gmail_user and self.gmail_password:
            account = SmtpServer(GMAIL, 587, self.gmail_user, self.gmail_password, starttls="required")
            return Provider(account.name, account, "smtp")
        return None

    @property
    def sender(self) -> str:
        """The From of every mail: MAIL_FROM, else the SMTP user if that is an address; raises SettingsError."""
        users = (self.gmail_user, self.provider.account.user if self.provider else "")
        sender = self.mail_from or next((user for user in users if "@" in user), "")
        if not sender:
            raise SettingsError("MAIL_FROM is not set: give the sender's address, for example noreply@example.com")
        if any(ord(c) < 32 or ord(c) == 127 for c in sender):
            raise SettingsError("MAIL_FROM contains a control character: give one address on one line")
        return sender

    def faults(self) -> Iterator[str]:
        if self.url:
            yield from fault(lambda: self.provider)
        yield from fault(lambda: self.limits_of_domains)
        if self.ehlo_name and not (is_domain_name(self.ehlo_name) or is_address_literal(self.ehlo_name)):
            yield (
                f"SMTP_EHLO_NAME is {self.ehlo_name!r}: give a full domain name such as mail.example.com "
                "(letters, digits, hyphens), or an address literal such as [192.0.2.1] or [IPv6:2001:db8::1]"
            )
