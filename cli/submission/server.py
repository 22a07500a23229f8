"""SMTP server of `notify smtp`, from its start to its orderly end."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys

from cli.servers import StartError
from cli.submission.api import ApiAway, NotificationApi
from cli.submission.connections import Connections
from cli.submission.conversation import Submission
from cli.submission.listening import Listening
from cli.terminal.failure import Unreachable
from runtime import logs
from settings import Settings

log = logs.get("submission")

IDLE = 300.0  # seconds without a command, after which a connection is closed (RFC 5321, 4.5.3.2.7)
LOGINS = 3  # tries of a connection


def serve(url: str, where: Listening, settings: Settings) -> None:
    """Take mails until SIGTERM or SIGINT. Raises StartError, Unreachable."""
    # aiosmtpd logs commands, which hold addresses and may hold keys.
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)
    asyncio.run(_serve(url, where, settings))


async def _serve(url: str, where: Listening, settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with NotificationApi(url) as api:
        if not where.local:
            await _require_keys(api)
        connections = Connections()
        server = await _start(where, settings, api, connections)
        port = server.sockets[0].getsockname()[1]
        log.info("submission.started", host=where.host, port=port, tls=where.tls is not None, api=api.address)
        await stop.wait()
        await connections.stop(settings.process.shutdown_grace)
        server.close()
        log.info("submission.stopped")


async def _require_keys(api: NotificationApi) -> None:
    """Raise StartError if the API takes requests without a key, which would make this an open relay."""
    try:
        if await api.admits(""):
            raise StartError(
                "The API needs no key (AUTH=off), so every machine could send: set AUTH=required, or listen on loopback"
            )
    except ApiAway as error:
        raise Unreachable(
            f"{str(error).capitalize()}. It must run before this server listens beyond loopback: start it, or see --url"
        ) from None


async def _start(
    where: Listening, settings: Settings, api: NotificationApi, connections: Connections
) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    submission = Submission(api, settings.content, connections)

    def new() -> asyncio.Protocol:
        return connections.new(
            submission,
            # By default aiosmtpd asks the resolver for the host's name, which can take long.
            hostname=settings.smtp.ehlo_name or socket.gethostname(),
            ident="Notification submission",
            data_size_limit=settings.http.body_limit,
            enable_SMTPUTF8=True,
            tls_context=where.tls,
            auth_required=not where.local,
            auth_require_tls=where.tls is not None,
            command_call_limit={"AUTH": LOGINS, "*": sys.maxsize},
            timeout=IDLE,
            loop=loop,
        )

    try:
        return await loop.create_server(new, where.host, where.port)
    except OSError as error:
        raise StartError(f"Cannot listen on {where.host}:{where.port} ({error.strerror}): see --listen") from None
