"""BIND, the address that the API listens on, checked before anything starts."""

from __future__ import annotations

import errno
import socket

from cli.servers import StartError
from settings import Settings

ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # address to connect to, for a server that listens on all


def free(settings: Settings) -> str:
    """Return BIND, with port 0 replaced by a free port. Raises StartError where BIND cannot be used."""
    host, port = settings.address
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
            return text(host, int(probe.getsockname()[1]))
    except OSError as error:
        raise StartError(_sentence(error, host, port)) from error


def text(host: str, port: int) -> str:
    """Return the address as it is written in BIND and in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def url(settings: Settings) -> str:
    """Return the URL at which a client on this machine reaches the server that listens at BIND."""
    host, port = settings.address
    return f"http://{text(reachable(host), port)}"


def reachable(host: str) -> str:
    """Return the host to connect to, for a server that listens on `host`."""
    return ANYWHERE.get(host, host)


def _sentence(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use: stop what uses it, or set BIND={text(host, port % 65_535 + 1)}"
    if error.errno == errno.EACCES:
        return f"this user may not listen on port {port}: set BIND={text(host, 8000)}"
    return (
        f"the API cannot listen on BIND={text(host, port)} ({error.strerror}): set BIND to an address of this machine"
    )
