"""The address that the API shall listen on, looked at before anything starts."""

from __future__ import annotations

import errno
import socket

from cli.servers import StartError
from settings import Settings

ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # where to reach who listens everywhere


def free(settings: Settings) -> str:
    """BIND, when nobody uses it; port 0 becomes a free one. Raises StartError."""
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
    """As BIND and as part of a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def url(settings: Settings) -> str:
    """Where a client on this machine finds what listens at BIND."""
    host, port = settings.address
    return f"http://{text(reachable(host), port)}"


def reachable(host: str) -> str:
    """The host to ask for when one listens on `host`."""
    return ANYWHERE.get(host, host)


def _sentence(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken: stop what uses it or set BIND={text(host, port % 65_535 + 1)}"
    if error.errno == errno.EACCES:
        return f"port {port} needs rights that this user does not have: set BIND={text(host, 8000)}"
    return f"BIND={text(host, port)} cannot be listened on: {error.strerror}"
