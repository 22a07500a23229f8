"""Mail catcher: an SMTP server on loopback that stores every mail as a file and delivers none."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from aiosmtpd.smtp import SMTP, Envelope, Session

from cli.up.local_server import HOST, LocalServer, Protocols
from cli.up.mailbox import Slot


class Catcher(LocalServer):
    """Mail catcher, which stores in `slot`."""

    name = "catcher"
    title = "The mail catcher"

    def __init__(self, slot: Slot) -> None:
        super().__init__()
        self._slot = slot
        # aiosmtpd logs every line of every conversation at level info.
        logging.getLogger("mail.log").setLevel(logging.WARNING)

    @property
    def url(self) -> str:
        """Value for SMTP_URL."""
        return f"smtp://{HOST}:{self.port}"

    async def protocols(self) -> Protocols:
        # By default aiosmtpd asks the resolver for the host's name, which can take long.
        loop = asyncio.get_running_loop()
        return partial(SMTP, _Keeper(self._slot), hostname="localhost", enable_SMTPUTF8=True, loop=loop)


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
