"""Name for EHLO: a domain name that the DNS may know, or an address literal (RFC 5321, section 4.1.4)."""

from __future__ import annotations

import ipaddress
import socket

from settings import is_domain_name


def ehlo_name(chosen: str, sock: socket.socket | None) -> str:
    """Return the `chosen` name, else this host's fully qualified name, else the socket's local address."""
    name = chosen or socket.gethostname().rstrip(".")
    if chosen or sock is None or is_domain_name(name):
        return name
    address = ipaddress.ip_address(sock.getsockname()[0].partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return f"[IPv6:{address}]"
        address = address.ipv4_mapped
    return f"[{address}]"
