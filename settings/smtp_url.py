"""SMTP_URL: the mail server."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote

from settings.errors import SettingsError
from settings.hosts import split

STARTTLS = ("required", "optional", "off")
CONNECTIONS, MOST_CONNECTIONS = 20, 1_000  # connections of all workers to the mail server: default and maximum


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Mail server. `tls`: encrypt from the first byte (`smtps://`). `starttls`: one of STARTTLS."""

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    starttls: str = "optional"
    ca: str = ""
    connections: int = CONNECTIONS  # maximum, of all worker processes together

    @property
    def name(self) -> str:
        """Name of the provider in records, metrics and Redis."""
        return f"{self.host}:{self.port}"


def parse(url: str) -> SmtpServer:
    parts = split("SMTP_URL", url)
    options = {key: values[-1] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path.strip("/"):
        raise SettingsError("SMTP_URL must look like smtp://user:pass@host:587 or smtps://user:pass@host:465")
    if unknown := set(options) - {"starttls", "ca", "connections"}:
        raise SettingsError(f"SMTP_URL has an unknown option {min(unknown)!r}: use starttls, ca or connections")
    # A password is sent unencrypted only if the URL says starttls=off.
    starttls = options.get("starttls", "required" if parts.password else "optional")
    if starttls not in STARTTLS:
        raise SettingsError(f"SMTP_URL has starttls={starttls}: give one of {', '.join(STARTTLS)}")
    return SmtpServer(
        host=parts.hostname,
        port=parts.port or (465 if parts.scheme == "smtps" else 587),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        tls=parts.scheme == "smtps",
        starttls=starttls,
        ca=options.get("ca", ""),
        connections=_connections(options.get("connections", str(CONNECTIONS))),
    )


def _connections(given: str) -> int:
    count = int(given) if given.isascii() and given.isdecimal() and len(given) < 10 else 0
    if not 1 <= count <= MOST_CONNECTIONS:
        raise SettingsError(f"SMTP_URL has connections={given}: give a number from 1 to {MOST_CONNECTIONS}")
    return count
