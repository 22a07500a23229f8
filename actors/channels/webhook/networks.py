"""Decide which addresses a callback may go to: public ones, and those in CALLBACK_ALLOWED_NETWORKS.

Clients choose the URLs that this machine connects to. So every address is refused that is not plainly on the public
Internet: internal ones, and those that may be translated to internal ones.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from settings import Network

# IANA IPv4 Special-Purpose Address Registry, and a public address that is internal in Azure.
_NOT_PUBLIC_4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
            *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
            *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
            "168.63.129.16/32",  # the host of a virtual machine in Azure: metadata and more
        ),
    )
)
# Global unicast (RFC 4291, section 2.4): excludes mapped or translated IPv4 (::/8, 64:ff9b::), local and multicast.
_GLOBAL_6 = ipaddress.IPv6Network("2000::/3")
# Excluded from it: Teredo and other protocol assignments, documentation, 6to4 (which contains an IPv4 address).
_NOT_PUBLIC_6 = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))


def is_own(address: str, allowed: Iterable[Network]) -> bool:
    """Return whether an address from the resolver is in one of the allowed networks."""
    ip = ipaddress.ip_address(address)
    return any(ip in network for network in allowed)


def is_public(address: str) -> bool:
    """Return whether an address from the resolver is global unicast and has no special purpose."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not any(ip in network for network in _NOT_PUBLIC_4)
    return (
        ip.scope_id is None and ip in _GLOBAL_6 and ip.is_global and not any(ip in network for network in _NOT_PUBLIC_6)
    )
