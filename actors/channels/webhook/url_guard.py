"""Check the URLs that this system calls, and the addresses that they lead to.

Clients choose the URLs of their callbacks, so a URL must not reach internal systems through this machine (SSRF). A URL
is checked when it is registered, and each address of its host when a connection is opened: see guarded_connector.py.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from actors.channels.webhook.networks import is_own, is_public
from settings import Network

URL_LIMIT = 2_000  # characters
LOWEST_PORT = 1_024  # besides 80 and 443: lower ports belong to services that should receive no HTTP
WEB_PORTS = {"http": 80, "https": 443}
_PRINTABLE = re.compile(r"[!-~]+")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
# Resolvers take a host that ends in a number for an IPv4 address: 127.1, 2130706433, 0x7f000001 (WHATWG URL, 3.5).
_ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?")


class UrlRejected(ValueError):
    """The URL must not be called. The text continues a sentence that begins with the field's name."""


class AddressRejected(UrlRejected, OSError):
    """The URL leads to an address that must not be called. It is an OSError, so that a connector passes it on."""


class NotPublic(AddressRejected):
    """The URL leads to an address that is not public."""


class Target(NamedTuple):
    """Parts of a URL that may be called."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str, allowed: Sequence[Network]) -> Target:
        """Return the parts of `url`. The addresses of a host name are checked later, when connecting.

        Raises:
            UrlRejected: The URL is malformed, or contains an address that must not be called.
        """
        if len(url) > URL_LIMIT or not _PRINTABLE.fullmatch(url) or "\\" in url:
            raise UrlRejected(
                f"must be a URL of at most {URL_LIMIT} printable ASCII characters without \\; "
                "percent-encode other characters, and write other host names in Punycode (xn--)"
            )
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise UrlRejected("must be a URL such as https://example.com/callbacks") from None
        if parts.scheme != "https" and not (parts.scheme == "http" and allowed):
            raise UrlRejected("must begin with https://")
        if "@" in parts.netloc or parts.fragment:
            raise UrlRejected("must not contain a user, a password or a #fragment")
        target = cls(parts.scheme, _host(parts.hostname), _port(parts.scheme, port), parts.path or "/")
        target._check_literal(allowed)
        return target._replace(path=f"{target.path}?{parts.query}") if parts.query else target

    @property
    def authority(self) -> str:
        """Value of the Host header (RFC 9110, section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == WEB_PORTS[self.scheme] else f"{host}:{self.port}"

    def check(self, address: str, allowed: Sequence[Network]) -> None:
        """Raise AddressRejected unless `address` is allowed.

        The text does not contain the address, which may be a secret of this machine's network.
        """
        if is_own(address, allowed):
            return
        if not is_public(address):
            raise NotPublic("leads to an address that is not public")
        if self.scheme != "https":
            raise AddressRejected("must begin with https:// outside CALLBACK_ALLOWED_NETWORKS")

    def _check_literal(self, allowed: Sequence[Network]) -> None:
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return
        self.check(self.host, allowed)


def _host(host: str | None) -> str:
    if host is not None and ":" in host and _is(ipaddress.IPv6Address, host):
        return host
    if host is None or len(host) > 253 or not _NAME.fullmatch(host):
        raise UrlRejected("must contain a valid host name, for example https://example.com/callbacks")
    if _ENDS_IN_NUMBER.fullmatch(host) and not _is(ipaddress.IPv4Address, host):
        raise UrlRejected("must write an IPv4 address as four decimal numbers without leading zeros")
    return host


def _is(kind: type[ipaddress.IPv4Address | ipaddress.IPv6Address], host: str) -> bool:
    try:
        return "%" not in str(kind(host))
    except ValueError:
        return False


def _port(scheme: str, port: int | None) -> int:
    if port is None or port in WEB_PORTS.values() or port >= LOWEST_PORT:
        return port or WEB_PORTS[scheme]
    raise UrlRejected(f"must use port 80, 443, or a port from {LOWEST_PORT} to 65535")
