"""Local providers of `notify up` for channels other than e-mail: they store each message in the inbox.

They are HTTP servers on one port of loopback, with a path for each channel, and deliver nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import NamedTuple

from aiohttp import web

from cli.up.local_server import HOST, LocalServer, Protocols
from cli.up.mailbox import Slot

LARGEST = 1_000_000  # bytes of a request
SHOWN = 60  # characters of a text in the inbox's list


class Caught(NamedTuple):
    """Message that a local provider received. The inbox shows it as a mail with this sender, recipient and text."""

    sender: str
    recipient: str
    text: str


class Fake(NamedTuple):
    """Local provider of a channel.

    `environment`: the variables that make workers use it, for the URL at which it is reached. `read`: what a request
    holds; ValueError if it is malformed. `answer`: the body of the answer, for the number in the inbox.
    """

    channel: str
    environment: Callable[[str], Mapping[str, str]]
    read: Callable[[bytes], Caught]
    answer: Callable[[int], bytes]


class Fakes(LocalServer):
    """Server of the local providers."""

    name = "fakes"
    title = "The local providers"

    def __init__(self, slot: Slot, fakes: Sequence[Fake], port: int = 0) -> None:
        super().__init__(port)
        self._slot = slot
        self._fakes = {f"/{fake.channel}": fake for fake in fakes}

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make workers use the local providers. The server must have been started."""
        found: dict[str, str] = {}
        for path, fake in self._fakes.items():
            found |= fake.environment(f"http://{HOST}:{self.port}{path}")
        return found

    async def protocols(self) -> Protocols:
        self._server = web.Server(self._answer, access_log=None)
        return self._server

    async def close_connections(self) -> None:
        self._server.pre_shutdown()  # Idle connections end at once, and the others get a second.
        await self._server.shutdown(timeout=1.0)

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        fake = self._fakes.get(request.path)
        if fake is None or request.method != "POST":
            return web.Response(status=404)
        body = await request.content.read(LARGEST + 1)
        try:
            caught = fake.read(body) if len(body) <= LARGEST else None
        except ValueError:
            caught = None
        if caught is None:
            return web.Response(status=400)
        number = self._slot.put(caught.sender, [caught.recipient], as_mail(fake.channel, caught))
        return web.Response(body=fake.answer(number), content_type="application/json")


def as_mail(channel: str, caught: Caught) -> bytes:
    """Return a text as the mail that the inbox shows."""
    mail = EmailMessage(policy=SMTP)
    first = " ".join(caught.text[: 2 * SHOWN].split())
    mail["Subject"] = f"[{channel}] {first[:SHOWN]}{'…' if len(first) > SHOWN else ''}"
    mail["Date"] = format_datetime(datetime.now(UTC))
    mail.set_content(caught.text)
    return mail.as_bytes()
