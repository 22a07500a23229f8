"""The system with all channels, and providers that count what they have taken and misbehave when they are told to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.channels import CHANNELS, Sink, furnish, post, sink
from benchmarks.http_sink import HttpMailboxClient
from tests.smtp import SmtpServer
from tests.system import System

OTHERS = tuple(CHANNELS)  # all channels but e-mail


class Everything(NamedTuple):
    """The system, its mail server, and one provider for each other channel."""

    system: System
    mails: SmtpServer
    sinks: dict[str, Sink[HttpMailboxClient]]

    def post(self, channel: str, count: int, first: int = 0) -> list[int]:
        """POST so many notifications, of which `first` is the number of the first; return their ids."""
        documents = [self._document(channel, number) for number in range(first, first + count)]
        answer = post(self.system.port, "/api/notifications/batch", {"items": documents})
        return [item["id"] for item in answer["items"]]

    def _document(self, channel: str, number: int) -> dict[str, Any]:
        if channel == "email":
            return {"type": "email", "recipient": f"r{number}@example.com", "message": "Hello"}
        return CHANNELS[channel].document(number)

    def taken(self, channel: str) -> tuple[int, int]:
        """Return how many recipients a provider has taken a message for, and how many messages."""
        if channel == "email":
            copies = Counter(to for mail in self.mails.mails for to in mail.recipients)
            return len(copies), sum(copies.values())
        found = self.sinks[channel].mailbox.count()
        return found.recipients, found.mails

    def unknown(self, channel: str) -> int:
        """Return how many attempts of a channel have an unknown outcome."""
        sql = "SELECT count(*) FROM attempts JOIN notifications AS n ON n.id = notification_id WHERE n.type = %s"
        return int(self.system.sql.rows(f"{sql} AND outcome IN ('lost', 'uncertain')", channel)[0][0])


@contextmanager
def everything(folder: Path, **settings: Any) -> Iterator[Everything]:
    """Run the API and the providers; a test starts the workers."""
    with ExitStack() as stack:
        mails = stack.enter_context(SmtpServer())
        sinks = {}
        for channel in OTHERS:
            (folder / channel).mkdir()
            sinks[channel] = stack.enter_context(sink(folder / channel))
        accounts = {
            name.lower(): f"{value}&connections=20" if name.startswith("PROVIDER_") else value
            for channel in OTHERS
            for name, value in CHANNELS[channel].environment(sinks[channel].url, folder).items()
        }
        system = System(folder, smtp_url=mails.url, **accounts, **settings)
        stack.callback(system.stop)
        system.start_api()
        for channel in OTHERS:
            furnish(system.port, CHANNELS[channel], sinks[channel].url)
        yield Everything(system, mails, sinks)
