"""Where the API is, and what proves who calls it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from urllib.parse import urlsplit

AGENT = "notification-client/0.1.0"
CONNECT_TIMEOUT = 5.0  # seconds


@dataclass(frozen=True)
class Endpoint:
    """Base URL and key of one client. The key is in no repr and in no error."""

    base_url: str
    key: str | None = field(repr=False)
    timeout: float
    ssl_context: ssl.SSLContext | None = field(repr=False)

    def __post_init__(self) -> None:
        """Raise ValueError, which says what to change."""
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("base_url must be a URL such as https://notify.example.com")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("base_url must have no user, password, query or fragment: give the key as `key`")
        if self.key is not None and not (self.key.isascii() and self.key.isprintable() and " " not in self.key):
            raise ValueError("key must be the key as `notify keys create` printed it, without spaces or line breaks")

    def url(self, target: str) -> str:
        """Return the URL of a path with its query."""
        return self.base_url.rstrip("/") + target

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request."""
        headers = {"User-Agent": AGENT}
        return headers if self.key is None else headers | {"Authorization": f"Bearer {self.key}"}
