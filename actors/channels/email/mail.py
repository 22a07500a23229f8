"""Compose the mail of a notification (RFC 5322, MIME).

Python's email library is not used: it takes twenty times as long, and headers.py names its other faults. The tests
parse every mail with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import Any, NamedTuple

from actors.channels import Deferred, Refused
from actors.channels.email import headers
from actors.channels.email.identity import Identity, unique
from actors.channels.email.mailboxes import Mailbox, on_the_wire
from actors.channels.email.mime import Attached, body, mixed
from db.records import Claimed


class Mail(NamedTuple):
    """Mail with its envelope.

    `content` has CRLF line ends and is not dot-stuffed yet. `utf8`: the server must offer SMTPUTF8 (RFC 6531).
    `identity`: the marks by which reports about it are recognised.
    """

    sender: str
    recipients: tuple[str, ...]
    content: bytes
    utf8: bool
    identity: Identity | None = None

    @property
    def return_path(self) -> str:
        """The sender of the envelope."""
        return self.identity.return_path if self.identity and self.identity.domain else self.sender


def compose(
    notification: Claimed,
    sender: Mailbox,
    contents: Sequence[bytes] = (),
    leave: str | None = None,
    identity: Identity | None = None,
) -> Mail:
    """Return the mail of a notification. Every attempt gives the same bytes.

    `contents`: the contents of the attachments, in their order. `leave`: the URL for unsubscribing, used if the
    notification asks for our own link. `identity`: the marks of the mail; by default its Message-ID is `unique`.

    Raises:
        Refused: A recipient is not a valid address, or attachments are missing.
        Deferred: The notification asks for our own link, but `leave` is None.
    """
    mark = identity.mark if identity else unique(notification)
    try:
        recipient = on_the_wire(notification.recipient)
        if notification.mail is not None:
            given = linked(notification.mail, leave)
            return _compose_more(notification, given, recipient, sender, contents, mark)._replace(identity=identity)
    except ValueError as error:
        raise Refused(str(error), phase="compose") from None
    lines = _lines(_header(notification, sender, recipient, mark))
    # Only an address with a non-ASCII local part needs SMTPUTF8 (RFC 6531, 6532); everything else is encoded.
    utf8 = not lines.isascii()
    content = body(notification.message, notification.html, f"=_{mark}")
    return Mail(sender.address, (recipient,), lines.encode() + content, utf8, identity)


def _compose_more(  # noqa: PLR0913, PLR0917 - `compose` has all of them at hand
    notification: Claimed,
    given: Mapping[str, Any],
    recipient: str,
    sender: Mailbox,
    contents: Sequence[bytes],
    mark: str,
) -> Mail:
    """Return the mail of a notification with the options `given` in `notifications.mail`.

    Raises:
        ValueError: A recipient is not a valid address, or attachments are missing.
    """
    if "from" in given:
        sender = Mailbox.parse(given["from"])
    to = Mailbox(given.get("recipientName", ""), recipient)
    cc, bcc = ([Mailbox.parse(text) for text in given.get(name, ())] for name in ("cc", "bcc"))
    header = _header(notification, sender, headers.mailbox(to), mark)
    lines = _lines(header) + "".join(f"{name}: {value}\r\n" for name, value in _more(given, cc))
    # Blind copies are in the envelope only.
    recipients = tuple(one.address for one in (to, *cc, *bcc))
    utf8 = not (lines.isascii() and all(map(str.isascii, recipients)))
    content = mixed(notification.message, notification.html, attached(given, contents), f"=_{mark}")
    return Mail(sender.address, recipients, lines.encode() + content, utf8)


def linked(given: Mapping[str, Any], leave: str | None) -> Mapping[str, Any]:
    """Return the options with the URL of our own link for unsubscribing, if they ask for it."""
    if given.get("unsubscribe") is not True:
        return given
    if leave is None:  # The mail must not go without the link. It can be sent when PUBLIC_URL is set again.
        raise Deferred("it needs a link to unsubscribe, but PUBLIC_URL is not set", phase="compose")
    return {**given, "unsubscribe": {"url": leave}}


def _header(notification: Claimed, sender: Mailbox, to: str, mark: str) -> dict[str, str]:
    return {
        "From": headers.mailbox(sender),
        "To": to,
        "Subject": headers.unstructured(notification.subject),
        "Date": _date(int(written_at(notification).timestamp())),
        "Message-ID": f"<{mark}@{sender.domain}>",
        "Auto-Submitted": "auto-generated",  # Prevents out-of-office replies (RFC 3834).
    }


def written_at(notification: Claimed) -> datetime:
    """Return the time for the Date header, the same in every attempt: the creation, or a later `sendAt`.

    RFC 5322, section 3.6.1: the time at which the author put the message into the mail system.
    """
    return max(notification.created_at, notification.send_at or notification.created_at)


def attached(given: Mapping[str, Any], contents: Sequence[bytes]) -> list[Attached]:
    """Return the attached files of a mail with the options `given`; raise ValueError if contents are missing."""
    known = given.get("attachments", ())
    if len(known) != len(contents):
        raise ValueError("its attachments are missing: they were deleted")
    return [
        Attached(file["filename"], file["contentType"], file.get("contentId"), content)
        for file, content in zip(known, contents, strict=True)
    ]


def _more(given: Mapping[str, Any], cc: Sequence[Mailbox]) -> Iterator[tuple[str, str]]:
    if cc:
        yield "Cc", headers.mailboxes(cc)
    if "replyTo" in given:
        yield "Reply-To", headers.mailbox(Mailbox.parse(given["replyTo"]))
    yield from more_headers(given)


def more_headers(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the headers for unsubscribing, and those that the client gave; a value may have several lines."""
    if "unsubscribe" in given:
        yield "List-Unsubscribe", f"<{given['unsubscribe']['url']}>"
        yield "List-Unsubscribe-Post", "List-Unsubscribe=One-Click"  # RFC 8058, 3.1
    for name, value in given.get("headers", {}).items():
        yield name, headers.custom(name, value)


def _lines(header: Mapping[str, str]) -> str:
    return "\r\n".join([*map(": ".join, header.items()), ""])


@lru_cache(100)  # Many notifications are created in the same second.
def _date(second: int) -> str:
    return format_datetime(datetime.fromtimestamp(second, UTC))
