"""Sandbox: a channel with simulated recipients, for test keys. It uses no network and never waits.

The local part of a mail address, up to a `+`, decides the result, whatever the domain: `refused+7@example.com` is
`refused`. RECIPIENTS has the phone numbers and device tokens that do. Of other tokens the part up to a `-` decides, and
of browsers the first label of the host.
"""

from __future__ import annotations

from collections.abc import Sequence

from actors.channels import AtMost, Begin, Deferred, Receipt, Refused, Uncertain, Undelivered, always
from db.records import Claimed

# Simulated answers of a mail server (RFC 5321, RFC 3463).
_DELIVERED = Receipt("content", 250, "2.0.0", "250 2.0.0 delivered to the sandbox")
_REFUSED = Receipt("rcpt", 550, "5.1.1", "550 5.1.1 the sandbox knows no such user")
_DEFERRED = Receipt("rcpt", 451, "4.7.1", "451 4.7.1 the sandbox says: not now, later")
_TIMEOUT = Receipt("rcpt", None, None, "the sandbox did not answer in time")
_UNKNOWN = Receipt("content", None, None, "the sandbox closed the connection before its answer to the whole mail")

_Ending = tuple[type[Undelivered], Receipt]
ALWAYS: dict[str, _Ending] = {"refused": (Refused, _REFUSED), "timeout": (Deferred, _TIMEOUT)}
# Results of the first attempt only; the next one is delivered.
AT_FIRST: dict[str, _Ending] = {"deferred": (Deferred, _DEFERRED), "unknown": (Uncertain, _UNKNOWN)}

RECIPIENTS = {
    form.format(number): name
    for number, name in enumerate(("refused", "deferred", "timeout", "unknown"), 1)
    for form in ("+1500555{:04}", "apns:{:064}")
}


class Sandbox:
    """Channel whose provider is never down, so it needs no breaker."""

    provider = "sandbox"
    limits = AtMost(1)
    idle = 0.0
    pipelines = False

    def sender(self) -> Sandbox:
        """Return itself: it has no state."""
        return self

    async def send(
        self,
        notification: Claimed,
        begin: Begin = always,
        contents: Sequence[bytes] = (),
        next_notification: Claimed | None = None,
    ) -> Receipt:
        ending = _ending(notification)
        if ending and ending[1].phase == "rcpt":
            raise _undelivered(*ending)
        if not await begin():
            raise Deferred("another worker has claimed the notification", phase="data")
        if ending:
            raise _undelivered(*ending)
        return _DELIVERED

    async def hang_up(self) -> None:
        """Do nothing: there is no connection."""

    def ready(self, notification: Claimed) -> bool:
        """Return True: nothing has to wait."""
        return True

    async def start(self) -> None:
        """Do nothing: there is nothing to prepare."""

    def stop(self) -> None:
        """Do nothing: nothing takes long."""

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""


def _ending(notification: Claimed) -> _Ending | None:
    name = _name(notification.recipient)
    return ALWAYS.get(name) or (None if notification.retry_count else AT_FIRST.get(name))


def _name(recipient: str) -> str:
    """Return the part of a recipient that decides the result."""
    for beginning, end in (("fcm:", "-"), ("webpush:https://", ".")):
        if recipient.startswith(beginning):
            return recipient.removeprefix(beginning).partition(end)[0]
    return RECIPIENTS.get(recipient) or recipient.partition("@")[0].partition("+")[0].lower()


def _undelivered(kind: type[Undelivered], said: Receipt) -> Undelivered:
    return kind(said.text, phase=said.phase, reply_code=said.reply_code, enhanced_code=said.enhanced_code)
