"""The name that EHLO gives: a domain name that DNS can know, or an address literal (RFC 5321, 4.1.4)."""

from __future__ import annotations

import ipaddress
import socket

from settings import is_domain_name


def ehlo_name(chosen: str, sock: socket.socket | None) -> str:
    """Return the name that was `chosen`, else this host's full name, else the address it is connected from."""
    name = chosen or socket.gethostname().rstrip(".")
    if chosen or sock is None or is_domain_name(name):
        return name
    address = ipaddress.ip_address(sock.getsockname()[0].partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return f"[IPv6:{address}]"
        address = address.ipv4_mapped
    return f"[{address}]"
