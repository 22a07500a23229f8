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
RECORDING = 30  # seconds of STUCK_AFTER reserved for recording an outcome
HINTS = {
    "database_url": "give PostgreSQL as postgresql://user:pass@host:5432/name, or run `notify up`",
    "redis_url": "give Redis as redis://host:6379/0, or run `notify up`",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Declarations):
    """The settings of a process, and what follows from them."""

    @property
    def path_prefix(self) -> str:
        """Path of PUBLIC_URL, which a proxy adds before all of our paths; empty without one."""
        return urlsplit(self.public_url).path.rstrip("/")

    @property
    def smtp(self) -> smtp_url.SmtpServer:
        """Mail server. Raises SettingsError if none is set or SMTP_URL is wrong."""
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
        """Name of the mail server's breaker, host:port; empty if none is set or SMTP_URL is wrong."""
        try:
            return f"{self.smtp.host}:{self.smtp.port}"
        except SettingsError:
            return ""

    @property
    def smtp_limit(self) -> float:
        """Seconds in which a mail must be sent; its answer may take SMTP_DATA_TIMEOUT more.

        STUCK_AFTER starts with the claim of a list of notifications, of which the last one begins within LIST_BUDGET.
        """
        return self.stuck_after - self.list_budget - self.smtp_data_timeout - RECORDING

    @property
    def sender(self) -> str:
        """Sender of every mail: MAIL_FROM, else the SMTP user if that is an address."""
        sender = self.mail_from or next((u for u in (self.email_user, self.smtp.user) if "@" in u), "")
        if not sender:
            raise SettingsError("MAIL_FROM is not set: give the sender's address, for example noreply@example.com")
        if any(ord(c) < 32 or ord(c) == 127 for c in sender):
            raise SettingsError("MAIL_FROM contains a control character: give one address on one line")
        return sender

    @property
    def callback_networks(self) -> tuple[Network, ...]:
        """Networks in CALLBACK_ALLOWED_NETWORKS: callbacks may go there although they are not public."""
        try:
            return tuple(
                ipaddress.ip_network(n.strip()) for n in self.callback_allowed_networks.split(",") if n.strip()
            )
        except ValueError:
            raise SettingsError(
                "CALLBACK_ALLOWED_NETWORKS is malformed: give networks, for example 10.1.0.0/16, fd00:1::/64"
            ) from None

    @property
    def sentinels(self) -> redis_url.Sentinels | None:
        """Sentinels in REDIS_URL; None if it contains the address of Redis itself. Raises SettingsError."""
        return redis_url.sentinels(self.redis_url) if redis_url.SENTINEL in self.redis_url.partition("://")[0] else None

    @property
    def redis_server(self) -> redis_address.Address:
        """Server in a REDIS_URL without Sentinels. Raises SettingsError."""
        return redis_url.server(self.redis_url)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port in BIND."""
        return address("BIND", self.bind, "127.0.0.1:8000")

    @property
    def metrics_address(self) -> tuple[str, int] | None:
        """Host and port in METRICS_BIND; None if workers serve no metrics."""
        return address("METRICS_BIND", self.metrics_bind, "127.0.0.1:9191") if self.metrics_bind else None

    @property
    def header_rules(self) -> re.Pattern[str]:
        """Pattern of the header names that clients may use, from ALLOWED_HEADERS. Raises SettingsError."""
        return headers.rules(self.allowed_headers)

    @property
    def exact_headers(self) -> frozenset[str]:
        """Names in ALLOWED_HEADERS without a `*`, in lower case."""
        names = (name.strip().lower() for name in self.allowed_headers.split(","))
        return frozenset(name for name in names if "*" not in name)

    def require(self, *names: str) -> None:
        """Raise SettingsError for the first of the named settings that is empty."""
        for name in names:
            if not getattr(self, name):
                raise SettingsError(f"{name.upper()} is not set: {HINTS[name]}")

    @property
    def exposed(self) -> bool:
        """True if other machines can reach the API and need no key."""
        return self.auth == "off" and not self.local

    @property
    def local(self) -> bool:
        """True if only this machine can reach the API."""
        return is_loopback(self.address[0])
