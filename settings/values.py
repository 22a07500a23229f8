"""Settings as the program uses them: the values that were read, and what follows from several of them."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from settings import headers, redis_address, redis_url, smtp_url
from settings.declarations import Declarations
from settings.errors import SettingsError
from settings.hosts import Network, address, is_loopback

GMAIL = "smtp.gmail.com"
RECORDING = 30  # seconds of STUCK_AFTER that are left to record an outcome
HINTS = {
    "database_url": "give PostgreSQL as postgresql://user:pass@host:5432/name, or run `notify up`",
    "redis_url": "give Redis as redis://host:6379/0, or run `notify up`",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Declarations):
    """The settings of a process, and what follows from them."""

    @property
    def path_prefix(self) -> str:
        """The path of PUBLIC_URL, which a proxy puts before all of ours; empty where there is none."""
        return urlsplit(self.public_url).path.rstrip("/")

    @property
    def smtp(self) -> smtp_url.SmtpServer:
        """The mail server; raises SettingsError where none is set."""
        if self.smtp_url:
            return smtp_url.parse(self.smtp_url)
        if self.email_user and self.email_pass:
            return smtp_url.SmtpServer(GMAIL, 587, self.email_user, self.email_pass, starttls="required")
        raise SettingsError(
            "SMTP_URL is not set: give the mail server as smtp://user:pass@host:587 "
            "(or EMAIL_USER and EMAIL_PASS for Gmail)"
        )

    @property
    def provider(self) -> str:
        """host:port of the mail server, as its breaker is called; empty where none is set or its URL is wrong."""
        try:
            return f"{self.smtp.host}:{self.smtp.port}"
        except SettingsError:
            return ""

    @property
    def smtp_limit(self) -> float:
        """Seconds in which a mail must be out; its answer has SMTP_DATA_TIMEOUT more.

        STUCK_AFTER is counted from the claim of a list, whose last mail begins within LIST_BUDGET.
        """
        return self.stuck_after - self.list_budget - self.smtp_data_timeout - RECORDING

    @property
    def sender(self) -> str:
        """The From of every mail: MAIL_FROM, else the SMTP user where that is an address."""
        sender = self.mail_from or next((u for u in (self.email_user, self.smtp.user) if "@" in u), "")
        if not sender:
            raise SettingsError("MAIL_FROM is not set: give the sender's address, e.g. noreply@example.com")
        if any(ord(c) < 32 or ord(c) == 127 for c in sender):
            raise SettingsError("MAIL_FROM holds a control character: give one address on one line")
        return sender

    @property
    def callback_networks(self) -> tuple[Network, ...]:
        """CALLBACK_ALLOWED_NETWORKS, where callbacks may go though the rest of the world cannot."""
        try:
            return tuple(
                ipaddress.ip_network(n.strip()) for n in self.callback_allowed_networks.split(",") if n.strip()
            )
        except ValueError:
            raise SettingsError(
                "CALLBACK_ALLOWED_NETWORKS holds what is no network: give e.g. 10.1.0.0/16, fd00:1::/64"
            ) from None

    @property
    def sentinels(self) -> redis_url.Sentinels | None:
        """Whom to ask for the Redis of REDIS_URL; None where it stands there itself."""
        return redis_url.sentinels(self.redis_url) if redis_url.SENTINEL in self.redis_url.partition("://")[0] else None

    @property
    def redis_server(self) -> redis_address.Address:
        """The one server of a REDIS_URL without Sentinels; raises SettingsError."""
        return redis_url.server(self.redis_url)

    @property
    def address(self) -> tuple[str, int]:
        """BIND as host and port."""
        return address("BIND", self.bind, "127.0.0.1:8000")

    @property
    def metrics_address(self) -> tuple[str, int] | None:
        """METRICS_BIND as host and port; None: workers serve no numbers."""
        return address("METRICS_BIND", self.metrics_bind, "127.0.0.1:9191") if self.metrics_bind else None

    @property
    def header_rules(self) -> re.Pattern[str]:
        """What the name of a header that a client gives must match: ALLOWED_HEADERS."""
        return headers.rules(self.allowed_headers)

    @property
    def exact_headers(self) -> frozenset[str]:
        """The names in ALLOWED_HEADERS that stand there in full, in lower case."""
        names = (name.strip().lower() for name in self.allowed_headers.split(","))
        return frozenset(name for name in names if "*" not in name)

    def require(self, *names: str) -> None:
        """Raise a SettingsError that names the first of these settings that is empty."""
        for name in names:
            if not getattr(self, name):
                raise SettingsError(f"{name.upper()} is not set: {HINTS[name]}")

    @property
    def exposed(self) -> bool:
        """Whether strangers can reach the API and need no key."""
        return self.auth == "off" and not self.local

    @property
    def local(self) -> bool:
        """Whether only this machine can reach the API."""
        return is_loopback(self.address[0])
