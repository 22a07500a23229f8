"""Mail catcher: an SMTP server on loopback that stores every mail as a file and delivers none."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from functools import partial
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from cli.servers import StartError
from cli.up.mailbox import Slot

HOST = "127.0.0.1"


class Catcher:
    """Service that runs in a thread of the supervisor: 2 MB of memory, where a process would take 30 MB."""

    name = "catcher"

    def __init__(self, directory: Path, keep: int) -> None:
        self._directory = directory
        self._keep = keep
        self._port = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Value for SMTP_URL."""
        return f"smtp://{HOST}:{self._port}"

    @property
    def pid(self) -> int:
        """Id of this process, which the catcher runs in."""
        return os.getpid()

    @property
    def alive(self) -> bool:
        """True while the server runs."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start the server: on a free port at first, later always on the same one."""
        # aiosmtpd logs every line of every conversation at level info.
        logging.getLogger("mail.log").setLevel(logging.WARNING)
        loop = asyncio.new_event_loop()
        make = partial(_protocol, _Keeper(Slot(self._directory, self._keep)), loop)
        try:
            server = loop.run_until_complete(loop.create_server(make, HOST, self._port))
        except OSError as error:
            loop.close()
            raise StartError(f"The mail catcher cannot listen on {HOST}: {error.strerror}") from error
        self._port = server.sockets[0].getsockname()[1]
        self._loop = loop
        self._thread = threading.Thread(target=_serve, args=(loop, server), name=self.name, daemon=True)
        self._thread.start()

    def ask(self) -> None:
        """Ask the server to stop, without waiting."""
        if self._loop is not None and self.alive:
            self._loop.call_soon_threadsafe(self._loop.stop)

    def stop(self) -> str:
        """Stop the server, wait for its end, and return how it ended."""
        self.ask()
        return self.reap()

    def reap(self) -> str:
        """Wait for the end of the thread, and return how it ended."""
        if self._thread is not None:
            self._thread.join(timeout=5)
        self._thread = self._loop = None
        return "done"


class _Keeper:
    """Handler that aiosmtpd calls for each mail."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        try:
            number = self._slot.put(envelope.mail_from or "", envelope.rcpt_tos, envelope.original_content or b"")
        except OSError as error:
            return f"452 4.3.1 Cannot store the mail: {error.strerror}"
        return f"250 2.0.0 Caught as {number}"


def _protocol(keeper: _Keeper, loop: asyncio.AbstractEventLoop) -> SMTP:
    # By default aiosmtpd asks the resolver for the host's name, which can take long.
    return SMTP(keeper, hostname="localhost", enable_SMTPUTF8=True, loop=loop)


def _serve(loop: asyncio.AbstractEventLoop, server: asyncio.Server) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    server.close()
    conversations = asyncio.all_tasks(loop)
    for conversation in conversations:
        conversation.cancel()
    loop.run_until_complete(asyncio.gather(*conversations, return_exceptions=True))
    loop.close()
