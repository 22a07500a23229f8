"""What a channel is, and how a send can end. Each channel is a folder beside this file.

A send either returns a Receipt or raises one of the four ways to be undelivered; each names the
phase of the conversation it happened in and what the other side said, word for word.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, NamedTuple, Protocol

from db.records import Claimed

Begin = Callable[[], Awaitable[bool]]

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
    """Not now, because we send too fast: it says nothing of this notification."""

    outcome = "deferred"


class ProviderDown(Undelivered):
    """Nothing about this notification: the provider cannot be reached, or does not let us in."""

    outcome = "provider-down"


class NoConnection(Exception):
    """The provider takes no further connection, while others work: use fewer. Nothing was sent."""


class Uncertain(Undelivered):
    """It went out whole and the answer never came: nobody can know whether it was taken."""

    outcome = "uncertain"


async def always() -> bool:
    """Begin: nobody else can have taken the notification over."""
    return True


class Sender(Protocol):
    """One connection to a provider, or what stands for one. One task uses it, for one notification at a time."""

    async def send(
        self,
        notification: Claimed,
        begin: Begin = always,
        contents: Sequence[bytes] = (),
        following: Claimed | None = None,
    ) -> Receipt:
        """Send one notification, within bounded time.

        `begin` is asked once, just before the content goes out; where it says no, nothing goes out.
        `contents` are those of its attachments. `following` is most likely sent next over this connection:
        the other side may be told of it already.

        Raises:
            Undelivered: it was not taken, or nobody knows.
            NoConnection: the provider takes no further connection, and others work.
        """

    async def hang_up(self) -> None:
        """Close the connection."""


class Limits(Protocol):
    """How many senders may be at work, and how fast. Times are `time.monotonic()`."""

    def limit(self, now: float) -> int:
        """Return how many senders there may be now."""

    def pause(self, now: float) -> float:
        """Return the seconds until one may begin to send; 0.0 for at once."""

    def began(self, now: float) -> None:
        """Take note that one begins to send."""

    def want(self, senders: int, wanted: int) -> None:
        """Take note that there are so many senders, and that there is work for `wanted`."""

    def listen(self, call: Callable[[], None]) -> None:
        """Call this whenever there may be more senders than before."""


class AtMost:
    """Limits that nothing changes."""

    def __init__(self, senders: int) -> None:
        self._senders = senders

    def limit(self, now: float) -> int:
        return self._senders

    def pause(self, now: float) -> float:
        return 0.0

    def began(self, now: float) -> None:
        """Nothing depends on it."""

    def want(self, senders: int, wanted: int) -> None:
        """Nothing depends on it."""

    def listen(self, call: Callable[[], None]) -> None:
        """It never happens."""


class Channel(Protocol):
    """One way to reach a recipient, through one provider."""

    @property
    def provider(self) -> str:
        """The provider's name."""

    @property
    def limits(self) -> Limits:
        """How many senders it may have."""

    @property
    def idle(self) -> float:
        """Seconds after which a sender without work ends."""

    def sender(self) -> Sender:
        """Return a sender that is not connected yet."""

    @property
    def pipelines(self) -> bool:
        """Whether a sender is of more use when it knows what it sends next; see `Sender.send`."""

    def ready(self, notification: Claimed) -> bool:
        """Return whether it may be begun now; False where it must wait for others."""

    async def start(self) -> None:
        """Prepare what all senders share, before the first of them."""

    async def close(self) -> None:
        """Close what all senders share; they have ended."""


def printable(text: str) -> str:
    """The other side's words, fit to be stored and shown: one line, no control characters, bounded."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return text[:TEXT_LIMIT].strip()
