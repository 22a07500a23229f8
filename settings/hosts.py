"""Host names, addresses and URLs in the values of settings."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from settings.errors import SettingsError

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN_NAME = re.compile(rf"(?:{_LABEL}\.)+(?!\d+$){_LABEL}")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def is_domain_name(name: str) -> bool:
    """Return whether mail servers accept the name as a fully qualified domain name (RFC 5321, section 2.3.5)."""
    last = name.lower().rpartition(".")[2]
    return len(name) <= 253 and bool(_DOMAIN_NAME.fullmatch(name)) and last not in ("localhost", "localdomain")


def is_address_literal(name: str) -> bool:
    inner = name[1:-1] if name.startswith("[") and name.endswith("]") else ""
    kind = ipaddress.IPv6Address if inner.lower().startswith("ipv6:") else ipaddress.IPv4Address
    try:
        kind(inner[5:] if kind is ipaddress.IPv6Address else inner)
    except ValueError:
        return False
    return "%" not in inner


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def address(name: str, bind: str, example: str) -> tuple[str, int]:
    host, _, port = bind.rpartition(":")
    if not host or not port.isdecimal() or not 0 <= int(port) <= 65_535:
        raise SettingsError(f"{name} is {bind!r}: give host:port, for example {example}")
    return host.strip("[]"), int(port)


def split(name: str, url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # Its message may quote the URL, including the password.
        raise SettingsError(
            f"{name} is malformed: give scheme://user:pass@host:port, with a port from 0 to 65535"
        ) from None
    return parts
