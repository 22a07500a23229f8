"""Settings of the address at which recipients reach the API."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from settings.errors import SettingsError
from settings.group import Group, fault, secret, text
from settings.hosts import is_loopback, split_url

SHORTEST_SECRET = 32  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicSettings(Group):
    """Read by everything that writes links: mails, the dashboard, the OpenAPI document."""

    url: str = text("PUBLIC_URL")
    """The address at which recipients reach the API; unsubscribe links need it."""
    unsubscribe_secret: str = secret("UNSUBSCRIBE_SECRET")
    """The secret that signs unsubscribe links, the same for the API and the workers."""

    @property
    def path_prefix(self) -> str:
        """The path of PUBLIC_URL, which a proxy puts before all paths of the API; empty if there is none."""
        return urlsplit(self.url).path.rstrip("/")

    def faults(self) -> Iterator[str]:
        if self.url:
            yield from fault(self._check)

    def _check(self) -> None:
        parts = split_url("PUBLIC_URL", self.url)
        # Mail programs unsubscribe over HTTPS only (RFC 8058, 3.1).
        secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
        if not (secure and parts.hostname) or parts.query or parts.fragment or parts.username is not None:
            raise SettingsError("PUBLIC_URL is malformed: give https://notify.example.com (http:// only for loopback)")
        if any(not 32 < ord(c) < 127 or c in "<>" for c in self.url):
            raise SettingsError("PUBLIC_URL contains a character that is not allowed in a URL: percent-encode it")
        if len(self.unsubscribe_secret) < SHORTEST_SECRET:
            raise SettingsError(
                f"UNSUBSCRIBE_SECRET must have at least {SHORTEST_SECRET} characters if PUBLIC_URL is set: "
                "make one with `openssl rand -hex 32`, and give the same one to the API and the workers"
            )
