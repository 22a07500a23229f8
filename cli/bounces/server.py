"""SMTP server of `notify bounces`, from its start to its orderly end."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Collection

from actors.reports.keys import ReportKeys
from cli.bounces import LARGEST
from cli.bounces.conversation import Bounces, LmtpConversation, ReportConversation
from cli.servers import StartError
from cli.submission.connections import Connections
from cli.submission.listening import Listening
from runtime import logs
from settings import Settings

log = logs.get("bounces")

IDLE = 300.0  # seconds without a command, after which a connection is closed (RFC 5321, 4.5.3.2.7)


def serve(where: Listening, settings: Settings, keys: ReportKeys, accept: Collection[str], *, lmtp: bool) -> None:
    """Take reports until SIGTERM or SIGINT. Raises StartError."""
    # aiosmtpd logs commands, which hold addresses.
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)
    asyncio.run(_serve(where, settings, keys, accept, lmtp=lmtp))


async def _serve(
    where: Listening, settings: Settings, keys: ReportKeys, accept: Collection[str], *, lmtp: bool
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    connections = Connections(LmtpConversation if lmtp else ReportConversation)
    bounces = Bounces(keys, accept, connections, lmtp=lmtp)
    server = await _start(where, settings, bounces, connections)
    port = server.sockets[0].getsockname()[1]
    log.info("bounces.started", host=where.host, port=port, lmtp=lmtp, tls=where.tls is not None)
    await stop.wait()
    await connections.stop(settings.process.shutdown_grace)
    server.close()
    bounces.close()
    log.info("bounces.stopped")


async def _start(where: Listening, settings: Settings, bounces: Bounces, connections: Connections) -> asyncio.Server:
    loop = asyncio.get_running_loop()

    def new() -> asyncio.Protocol:
        return connections.new(
            bounces,
            # By default aiosmtpd asks the resolver for the host's name, which can take long.
            hostname=settings.smtp.ehlo_name or socket.gethostname(),
            ident="Reports about mails",
            data_size_limit=LARGEST,
            enable_SMTPUTF8=True,
            tls_context=where.tls,
            timeout=IDLE,
            loop=loop,
        )

    try:
        return await loop.create_server(new, where.host, where.port)
    except OSError as error:
        raise StartError(f"Cannot listen on {where.host}:{where.port} ({error.strerror}): see --listen") from None
