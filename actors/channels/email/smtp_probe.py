"""Probe the mail server: do everything that comes before a mail, but send none."""

from __future__ import annotations

import asyncio
import ssl
import time

from actors.channels.email.handshake import ServerProperties
from actors.channels.email.smtp import Connection
from settings.smtp import SmtpSettings
from settings.smtp_url import SmtpServer


def probe(settings: SmtpSettings, server: SmtpServer) -> ServerProperties:
    """Connect to a mail server, start TLS and log in as configured, and quit.

    Raises:
        ProviderDown: A phase failed; the exception names it.
    """
    return asyncio.run(_probe_server(settings, server))


async def _probe_server(settings: SmtpSettings, server: SmtpServer) -> ServerProperties:
    begun = time.monotonic()
    connection = await Connection.open(settings, server)
    seconds = time.monotonic() - begun
    try:
        tls = connection.tls
        expires = ((tls.getpeercert() or {}) if tls else {}).get("notAfter")
        return ServerProperties(
            seconds,
            tls.version() if tls else None,
            (ssl.cert_time_to_seconds(str(expires)) - time.time()) / 86_400 if expires else None,
            bool(server.user),
            connection.most,
        )
    finally:
        await connection.quit()
