"""Judge the URLs that this system calls, and the addresses that they lead to.

A client chooses the URL of its callbacks, so a URL must not reach what only this machine can reach (SSRF). A URL
is judged when it is registered, and each address of its host again where a connection is opened: see
guarded_connector.py.
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
LOWEST_PORT = 1_024  # but for the two of the web: below are services that should not be talked to by HTTP
WEB_PORTS = {"http": 80, "https": 443}
_PRINTABLE = re.compile(r"[!-~]+")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
# Resolvers read a host that ends in a number as an IPv4 address: 127.1, 2130706433, 0x7f000001 (WHATWG URL, 3.5).
_ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?")


class UrlRejected(ValueError):
    """The URL cannot be called. The text follows the name of the field, and says what to change."""


class AddressRejected(UrlRejected, OSError):
    """The URL leads to an address that must not be called. An OSError too, so that a connector passes it on."""


class NotPublic(AddressRejected):
    """The URL leads to an address of some inner network."""


class Target(NamedTuple):
    """A URL that may be called: where to connect, and what to ask for."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str, allowed: Sequence[Network]) -> Target:
        """Return the parts of `url`. A host that is a name is judged only where it is connected to.

        Raises:
            UrlRejected: the URL is malformed, or nothing that it leads to may be called.
        """
        if len(url) > URL_LIMIT or not _PRINTABLE.fullmatch(url) or "\\" in url:
            raise UrlRejected(
                f"must be a URL of at most {URL_LIMIT} ASCII characters; write other letters %XX and names xn--"
            )
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise UrlRejected("must be a URL such as https://example.com/callbacks") from None
        if parts.scheme != "https" and not (parts.scheme == "http" and allowed):
            raise UrlRejected("must begin with https://")
        if "@" in parts.netloc or parts.fragment:
            raise UrlRejected("must hold no user, password or #fragment")
        target = cls(parts.scheme, _host(parts.hostname), _port(parts.scheme, port), parts.path or "/")
        target._check_literal(allowed)
        return target._replace(path=f"{target.path}?{parts.query}") if parts.query else target

    @property
    def authority(self) -> str:
        """The Host header (RFC 9110, 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == WEB_PORTS[self.scheme] else f"{host}:{self.port}"

    def check(self, address: str, allowed: Sequence[Network]) -> None:
        """Raise AddressRejected unless `address` may be connected to.

        The text does not repeat the address: it may be a secret of the network that this machine stands in.
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
        raise UrlRejected("must name a host, such as https://example.com/callbacks")
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
    raise UrlRejected(f"must have port 80, 443 or one from {LOWEST_PORT}")
