"""Delivery status notifications (RFC 3464, in Unicode RFC 6533): what happened to each recipient of a mail."""

from __future__ import annotations

from collections.abc import Iterator
from email.message import Message

from flufl.bounce import all_failures

from actors.reports.bounce_class import bounce_class, specific
from actors.reports.event import Event
from actors.reports.parts import STATUS, blocks, field, moment, parts, printable_words, token_of, typed

# Of the actions of RFC 3464, section 2.3.3. `relayed` and `expanded` tell of no mailbox.
_KINDS = {"failed": "bounced", "delayed": "delayed", "delivered": "delivered"}
# What a program writes that answers by itself, such as an out-of-office reply (RFC 3834).
_REPLIED = frozenset({"auto-replied", "auto-generated; vacation"})


def is_notification(message: Message) -> bool:
    """Return whether a message is a delivery status notification."""
    return bool(parts(message, STATUS))


def events(message: Message, envelope: str | None = None) -> list[Event]:
    """Return what a notification says, an event for each recipient that it names.

    `envelope`: the recipients of the SMTP envelope in which it came.
    """
    return [event for part in parts(message, STATUS) for event in _of_part(message, part, envelope)]


def _of_part(message: Message, part: Message, envelope: str | None) -> Iterator[Event]:
    first, *recipients = blocks(part) or [Message()]
    if not recipients and "Action" in first:  # Some leave out the blank line after the fields of the message.
        recipients = [first]
    token = token_of(message, envelope, field(first, "Original-Envelope-Id"))
    for block in recipients:
        if kind := _KINDS.get(field(block, "Action").partition(" ")[0].lower()):
            yield _event(kind, block, token)


def _event(kind: str, block: Message, token: str | None) -> Event:
    text = typed(block, "Diagnostic-Code") or ""
    code = specific(field(block, "Status").partition(" ")[0] or None, text)
    return Event(
        kind=kind,
        token=token,
        provider_message_id=None,
        # The original one is that of our own RCPT command, also if an alias was expanded since.
        recipient=typed(block, "Original-Recipient") or typed(block, "Final-Recipient"),
        bounce_class=bounce_class(code, text) if kind == "bounced" else None,
        code=printable_words(code)[:20] if code else None,
        text=printable_words(text or field(block, "Status")),
        at=moment(field(block, "Last-Attempt-Date")),
        event_id=None,
    )


def unstructured(message: Message, envelope: str | None = None) -> Iterator[Event]:
    """Yield what a bounce in another form says: it names addresses, and no codes."""
    if str(message.get("Auto-Submitted", "")).strip().lower() in _REPLIED:
        return
    token = token_of(message, envelope)
    if token is None:
        return
    try:
        temporary, permanent = all_failures(message)
    except Exception:  # noqa: BLE001 - some of the library's detectors fail at malformed header fields
        return
    for kind, addresses in (("delayed", temporary), ("bounced", permanent)):
        for address in sorted(addresses)[:50]:
            recipient = printable_words(address.decode("utf-8", "replace"))
            klass = "unknown" if kind == "bounced" else None
            yield Event(kind, token, None, recipient, klass, None, "a bounce without codes", None, None)
