"""Limits of a mail server: on connections, on the mails of one connection, on mails at once and a second."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from tests.smtp.records import Mail
from tests.smtp.script import Action, Phase, Reply

TOO_MANY_CONNECTIONS = Reply(421, "4.7.0 too many connections")
NO_MORE_OF_YOU = Reply(452, "4.3.1 insufficient system storage")
TOO_MUCH_AT_ONCE = Reply(432, "4.3.2 concurrent connections limit exceeded")


class Client(Protocol):
    """A conversation of the server. `under_way`: MAIL was accepted, and nothing has ended it yet."""

    taken: int

    @property
    def under_way(self) -> bool: ...


@dataclass
class Limits:
    """None means no limit. A test may replace them while clients are connected.

    `connections` are admitted at once; the next one meets `beyond` in place of a greeting.
    After `mails` on one connection each next one gets `then` at the phase `at`; the connection stays open.
    Where more than `at_once` mails are under way, or more than `open_at_once` connections open, or more than
    `per_second` mails were taken within a second, one gets `slow_down` after its content.
    """

    connections: int | None = None
    beyond: Action = TOO_MANY_CONNECTIONS
    mails: int | None = None
    then: Action = NO_MORE_OF_YOU
    at: Phase = "mail"
    at_once: int | None = None
    open_at_once: int | None = None
    per_second: int | None = None
    slow_down: Action = TOO_MUCH_AT_ONCE

    def action(self, phase: Phase, client: Client, clients: Collection[Client], mails: Sequence[Mail]) -> Action | None:
        """Return the action for this phase of a client's conversation, or None to answer as usual."""
        if phase == "connect" and self.connections is not None and len(clients) >= self.connections:
            return self.beyond
        if phase == self.at and self.mails is not None and client.taken >= self.mails:
            return self.then
        if phase == "dot" and self._too_fast(clients, mails):
            return self.slow_down
        return None

    def _too_fast(self, clients: Collection[Client], mails: Sequence[Mail]) -> bool:
        if _above(len(clients), self.open_at_once):
            return True
        if self.at_once is not None and sum(client.under_way for client in clients) > self.at_once:
            return True
        rate = self.per_second
        return rate is not None and len(mails) >= rate and mails[-rate].at > time.monotonic() - 1


def _above(count: int, most: int | None) -> bool:
    return most is not None and count > most
