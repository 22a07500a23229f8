"""Feedback reports (ARF, RFC 5965): complaints of recipients, which their mail providers pass on."""

from __future__ import annotations

from email.message import Message

from actors.reports.event import Event
from actors.reports.parts import FEEDBACK, blocks, field, moment, parts, printable_words, token_of

# `not-spam` takes a complaint back, and `virus`, `other` and the types of RFC 6591 are no complaints.
_KINDS = {"abuse": "complained", "fraud": "complained", "opt-out": "unsubscribed"}


def is_feedback(message: Message) -> bool:
    """Return whether a message is a feedback report."""
    return bool(parts(message, frozenset({FEEDBACK})))


def events(message: Message, envelope: str | None = None) -> list[Event]:
    """Return the complaints of a feedback report, one for each recipient that it names.

    `envelope`: the recipients of the SMTP envelope in which it came. Many providers remove the recipient.
    """
    [part, *_] = parts(message, frozenset({FEEDBACK}))
    block = next(iter(blocks(part)), Message())
    kind = _KINDS.get(field(block, "Feedback-Type").lower())
    if kind is None:
        return []
    token = token_of(message, envelope, field(block, "Original-Mail-From"), field(block, "Original-Envelope-Id"))
    at = moment(field(block, "Arrival-Date") or field(block, "Received-Date"))
    text = printable_words(f"{field(block, 'Feedback-Type')} reported by {field(block, 'User-Agent') or 'a provider'}")
    return [Event(kind, token, None, recipient, None, None, text, at, None) for recipient in _recipients(block)]


def _recipients(block: Message) -> list[str | None]:
    given = [str(one).strip().strip("<>") for one in block.get_all("Original-Rcpt-To", [])[:50]]
    named: list[str | None] = [printable_words(one) for one in given if "@" in one and "redacted" not in one.lower()]
    return named or [None]
