"""Probe the mail server: do everything that comes before a mail, but send none."""

from __future__ import annotations

import asyncio
import ssl
import time

from actors.channels.email.handshake import Handshake
from actors.channels.email.smtp import Connection
from settings import Settings


def shake(settings: Settings) -> Handshake:
    """Connect to SMTP_URL, start TLS and log in as configured, and quit.

    Raises:
        ProviderDown: A phase failed; the exception names it.
    """
    return asyncio.run(_shake(settings))


async def _shake(settings: Settings) -> Handshake:
    begun = time.monotonic()
    connection = await Connection.open(settings)
    seconds = time.monotonic() - begun
    try:
        tls = connection.tls
        expires = ((tls.getpeercert() or {}) if tls else {}).get("notAfter")
        return Handshake(
            seconds,
            tls.version() if tls else None,
            (ssl.cert_time_to_seconds(str(expires)) - time.time()) / 86_400 if expires else None,
            bool(settings.smtp.user),
            connection.most,
        )
    finally:
        await connection.quit()
