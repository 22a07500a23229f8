"""What a channel is, and how a send can end. Each channel is one module beside this file.

A send either returns a Receipt or raises one of the four ways to be undelivered; each names the
phase of the conversation it happened in and what the other side said, word for word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple, Protocol

from db.records import Claimed

TEXT_LIMIT = 500  # characters of the other side's words that are kept


class Receipt(NamedTuple):
    """The provider took the notification over."""

    phase: str
    reply_code: int | None
    enhanced_code: str | None
    text: str


class Undelivered(Exception):
    """The provider did not take it. `outcome` is what the attempt's record says."""

    outcome: ClassVar[str]

    def __init__(
        self, text: str, *, phase: str, reply_code: int | None = None, enhanced_code: str | None = None
    ) -> None:
        super().__init__(text)
        self.receipt = Receipt(phase, reply_code, enhanced_code, text)


class Refused(Undelivered):
    """Never try again: the recipient or the content was refused for good."""

    outcome = "refused"


class Deferred(Undelivered):
    """Not now: try again later."""

    outcome = "deferred"


class Throttled(Undelivered):
    """Not now, because of how much we send: try again later and slower. It says nothing about the notification."""

    outcome = "deferred"


class ProviderDown(Undelivered):
    """Nothing about this notification: the provider cannot be reached, or does not let us in."""

    outcome = "provider-down"


class Uncertain(Undelivered):
    """It went out whole and the answer never came: nobody can know whether it was taken."""

    outcome = "uncertain"


class Channel(Protocol):
    """One way to reach a recipient. Used by many threads; what a connection is, is its own business."""

    provider: str

    def send(
        self,
        notification: Claimed,
        begin: Callable[[], bool] = lambda: True,
        contents: Sequence[bytes] = (),
        following: Claimed | None = None,
    ) -> Receipt:
        """Send one notification, within bounded time; raises Undelivered.

        `begin` is asked once, just before the content goes out; where it says no, nothing goes out.
        `contents` are those of its attachments. `following` is what this thread sends next, most likely:
        the other side may be told of it already.
        """

    def hang_up(self) -> None:
        """The calling thread stops: close what is kept for it."""


def printable(text: str) -> str:
    """The other side's words, fit to be stored and shown: one line, no control characters, bounded."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return text[:TEXT_LIMIT].strip()
