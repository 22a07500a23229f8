"""Host names, addresses and URLs in settings."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from settings.errors import SettingsError

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN_NAME = re.compile(rf"(?:{_LABEL}\.)+(?!\d+$){_LABEL}")
MAX_DOMAIN_NAME = 253  # characters (RFC 1035, 2.3.4, without the root)


def split_url(variable: str, url: str) -> SplitResult:
    """Split a URL; the message of the SettingsError does not quote it, because it may hold a password."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # Its message may quote the URL.
        raise SettingsError(
            f"{variable} is malformed: give scheme://user:pass@host:port, with a port from 0 to 65535, and with / ? # "
            "and @ in the password written as %2F %3F %23 %40"
        ) from None
    return parts


def host_and_port(variable: str, address: str, example: str) -> tuple[str, int]:
    """Split host:port, the host without its brackets."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 <= int(port) <= 65_535:
        raise SettingsError(f"{variable} is {address!r}: give host:port, for example {example}")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address or name."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_domain_name(name: str) -> bool:
    """Return whether mail servers accept a name as the full name of a host (RFC 5321, 2.3.5)."""
    last = name.lower().rpartition(".")[2]
    fits = len(name) <= MAX_DOMAIN_NAME and bool(_DOMAIN_NAME.fullmatch(name))
    return fits and last not in ("localhost", "localdomain")


def is_address_literal(name: str) -> bool:
    """Return whether a name is an address literal such as [192.0.2.1] or [IPv6:2001:db8::1] (RFC 5321, 4.1.3)."""
    inner = name[1:-1] if name.startswith("[") and name.endswith("]") else ""
    kind = ipaddress.IPv6Address if inner.lower().startswith("ipv6:") else ipaddress.IPv4Address
    try:
        kind(inner[5:] if kind is ipaddress.IPv6Address else inner)
    except ValueError:
        return False
    return "%" not in inner
