"""SMTP_URL: its parts and options."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qs, unquote

from settings.errors import SettingsError
from settings.hosts import split_url

STARTTLS = ("required", "optional", "off")
CONNECTIONS, MAX_CONNECTIONS = 20, 1_000  # to the mail server, of all worker processes together: default and bound


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """The mail server and the account on it.

    `tls` (`smtps://`) encrypts from the first byte; `starttls` is one of STARTTLS. `ca` is the path of a file with
    certificates, or empty.
    """

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    starttls: str = "optional"
    ca: str = ""
    connections: int = CONNECTIONS  # at most, of all worker processes together

    @property
    def name(self) -> str:
        """host:port, the name of the provider in records, metrics and Redis."""
        return f"{self.host}:{self.port}"


def parse(url: str) -> SmtpServer:
    """Parse smtp://user:pass@host:587?starttls=required&ca=/path&connections=20, or smtps://."""
    parts = split_url("SMTP_URL", url)
    options = _options(parts)
    # A password crosses the network in clear text only if the URL says starttls=off.
    starttls = options.get("starttls", "required" if parts.password else "optional")
    if starttls not in STARTTLS:
        raise SettingsError(f"SMTP_URL has starttls={starttls}: give one of {', '.join(STARTTLS)}")
    return SmtpServer(
        host=parts.hostname or "",
        port=parts.port or (465 if parts.scheme == "smtps" else 587),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        tls=parts.scheme == "smtps",
        starttls=starttls,
        ca=options.get("ca", ""),
        connections=_connections(options.get("connections", str(CONNECTIONS))),
    )


def _options(parts: SplitResult) -> dict[str, str]:
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.path.strip("/"):
        raise SettingsError("SMTP_URL must look like smtp://user:pass@host:587 or smtps://user:pass@host:465")
    options = {key: values[-1] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
    if unknown := set(options) - {"starttls", "ca", "connections"}:
        raise SettingsError(f"SMTP_URL has an unknown option {min(unknown)!r}: use starttls, ca or connections")
    return options


def _connections(given: str) -> int:
    count = int(given) if given.isascii() and given.isdecimal() and len(given) < 10 else 0
    if not 1 <= count <= MAX_CONNECTIONS:
        raise SettingsError(f"SMTP_URL has connections={given}: give a number from 1 to {MAX_CONNECTIONS}")
    return count
