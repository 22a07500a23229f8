"""Address at which the SMTP server listens, and its certificate."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import NamedTuple

from settings import SettingsError
from settings.hosts import host_and_port, is_loopback

ADDRESS = "127.0.0.1:2587"


class Listening(NamedTuple):
    """Address to listen on; `tls` is None where there is no certificate."""

    host: str
    port: int
    tls: ssl.SSLContext | None

    @property
    def local(self) -> bool:
        """True if only this machine can reach the server."""
        return is_loopback(self.host)


def listening(address: str, certificate: Path | None, private_key: Path | None) -> Listening:
    """Return where to listen. Raises SettingsError, also where passwords would be sent in clear between machines."""
    host, port = host_and_port("--listen", address, ADDRESS)
    found = Listening(host, port, context(certificate, private_key))
    if not found.local and found.tls is None:
        raise SettingsError(
            f"--listen {address} lets other machines send API keys in clear: "
            "give --certificate and --private-key, or listen on loopback"
        )
    return found


def context(certificate: Path | None, private_key: Path | None) -> ssl.SSLContext | None:
    """Return what encrypts with a certificate, None without one. Raises SettingsError."""
    if certificate is None:
        if private_key is not None:
            raise SettingsError("--private-key is given without --certificate: give both")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # Without a password for the key: OpenSSL would ask for one on the terminal.
        context.load_cert_chain(certificate, private_key, password="")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError.
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise SettingsError(
            f"--certificate {certificate} cannot be used ({reason}): "
            "give a PEM file with the chain, and its unencrypted key with --private-key"
        ) from None
    return context
