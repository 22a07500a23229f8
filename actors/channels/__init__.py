"""The contract between delivery and the providers, and the possible results of a send.

A send returns a Receipt or raises an Undelivered. Both hold the phase of the conversation in which it ended, and the
provider's answer, word for word.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, NamedTuple, Protocol

from db.records import Claimed

Begin = Callable[[], Awaitable[bool]]

TEXT_LIMIT = 500  # characters of a provider's answer that are kept


class Receipt(NamedTuple):
    """The provider accepted the notification. `message_id`: the id that it gave the message, if it gave one."""

    phase: str
    reply_code: int | None
    enhanced_code: str | None
    text: str
    message_id: str | None = None


class Undelivered(Exception):
    """The provider did not accept the notification, or this is unknown. `outcome` is stored with the attempt."""

    outcome: ClassVar[str]

    def __init__(  # noqa: PLR0913
        self,
        text: str,
        *,
        phase: str,
        reply_code: int | None = None,
        enhanced_code: str | None = None,
        suppress: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        """`suppress`: index of the address, in `Content.addresses`, that goes on the client's suppression list.

        `retry_after`: seconds before which the provider does not want to be asked again, for Throttled.
        """
        super().__init__(text)
        self.receipt = Receipt(phase, reply_code, enhanced_code, text)
        self.suppress, self.retry_after = suppress, retry_after


class Refused(Undelivered):
    """Permanent failure: the recipient or the content was refused. Never retry."""

    outcome = "refused"


class Deferred(Undelivered):
    """Temporary failure: retry later."""

    outcome = "deferred"


class Throttled(Undelivered):
    """Temporary failure because we send too fast; nothing is wrong with the notification. Retry more slowly."""

    outcome = "deferred"


class ProviderDown(Undelivered):
    """The provider cannot be reached, or refuses our account. Nothing is wrong with the notification."""

    outcome = "provider-down"


class NoConnection(Exception):
    """The provider accepts no further connection, but existing ones work. Nothing was sent: use fewer connections."""


class Uncertain(Undelivered):
    """The content was sent completely, but no answer came: whether it was accepted is unknown."""

    outcome = "uncertain"


async def always() -> bool:
    """Begin unconditionally, where no other worker can have claimed the notification."""
    return True


class Sender(Protocol):
    """Sender over one connection to a provider. One task uses it, for one notification at a time."""

    async def send(
        self,
        notification: Claimed,
        begin: Begin = always,
        contents: Sequence[bytes] = (),
        next_notification: Claimed | None = None,
    ) -> Receipt:
        """Send one notification, within bounded time.

        `begin` is awaited once, just before the content is sent; if it returns False, nothing is sent.
        `contents`: the contents of the attachments. `next_notification`: the notification that is most likely sent next
        over this connection; the beginning of its conversation may be sent already (pipelining).

        Raises:
            Undelivered: It was not accepted, or this is unknown.
            NoConnection: The provider accepts no further connection, but existing ones work.
        """

    async def hang_up(self) -> None:
        """Close the connection."""


class Limits(Protocol):
    """Limits on the number of senders of a provider and on their rate. Times are `time.monotonic()`."""

    def limit(self, now: float) -> int:
        """Return the number of senders allowed now."""

    def pause(self, now: float) -> float:
        """Return the seconds until a sender may begin a notification; 0.0 means at once."""

    def began(self, now: float) -> None:
        """Record that a sender begins a notification."""

    def want(self, senders: int, wanted: int) -> None:
        """Record the number of senders, and the number for which there is work (`wanted`)."""

    def listen(self, call: Callable[[], None]) -> None:
        """Register a function to call whenever the number of allowed senders may have grown."""


class AtMost:
    """Fixed number of senders, without a limit on their rate."""

    def __init__(self, senders: int) -> None:
        self._senders = senders

    def limit(self, now: float) -> int:
        return self._senders

    def pause(self, now: float) -> float:
        return 0.0

    def began(self, now: float) -> None:
        """Do nothing: there is no rate."""

    def want(self, senders: int, wanted: int) -> None:
        """Do nothing: the number is fixed."""

    def listen(self, call: Callable[[], None]) -> None:
        """Do nothing: the number never grows."""


class Provider(Protocol):
    """Account, or kind of target, through which notifications of one channel are sent."""

    @property
    def provider(self) -> str:
        """Name in records, metrics and the breaker."""

    @property
    def limits(self) -> Limits:
        """Limits on the senders."""

    @property
    def idle(self) -> float:
        """Seconds after which a sender without work ends."""

    def sender(self) -> Sender:
        """Return a sender that is not connected yet."""

    @property
    def pipelines(self) -> bool:
        """True if senders make use of `next_notification`; see `Sender.send`."""

    def ready(self, notification: Claimed) -> bool:
        """Return whether a notification may be begun now; False if it must wait for others."""

    async def start(self) -> None:
        """Prepare the resources that all senders share. Called before the first sender is made."""

    def stop(self) -> None:
        """Stop soon: no new notification is sent, and what waits for long must end within the time for a shutdown."""

    async def close(self) -> None:
        """Close the resources that all senders share. Called after all senders have ended."""


def printable(text: str) -> str:
    """Return a provider's answer ready to store and show: one line of at most TEXT_LIMIT printable characters."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return text[:TEXT_LIMIT].strip()
