"""Classes of bounces, by the enhanced status code (RFC 3463 and its IANA registry) and the words beside it.

- hard: the mailbox does not exist. Only this class suppresses an address at once.
- soft: the mailbox is full, or the mail could not be delivered in time.
- sender: our domain, its authentication or our server is refused.
- policy: another rule of the receiver, such as a content filter.
- unknown: everything else, such as a domain that was not found, which may be a fault of the resolver.
"""

from __future__ import annotations

import re

from actors.channels.email.hard_bounce import means_gone

CODE = re.compile(r"(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?![\d.])")
# Mailbox full, system full, delivery time expired. Not 4.1: Exchange uses 5.4.1 for unknown recipients.
_LATER = frozenset({"2.2", "3.1", "4.7"})
_SENDER = frozenset(
    {
        *("5.1.7", "5.1.8", "5.7.20", "5.7.21", "5.7.22", "5.7.23", "5.7.24", "5.7.25", "5.7.26", "5.7.27"),
        *("5.7.28", "5.7.29", "5.7.509", "5.7.515"),  # the last two are Microsoft's, about DMARC
    }
)
_ABOUT_US = re.compile(r"\b(?:spf|dkim|dmarc|reverse dns|ptr|blocklist|blacklist|rbl|reputation|your ip|sender)\b")


def code_in(text: str) -> str | None:
    """Return the first enhanced status code in a text, or None."""
    found = CODE.search(text)
    return found[0] if found else None


def specific(status: str | None, text: str) -> str | None:
    """Return the code that says most: that of the text if the status is general, such as 5.0.0."""
    told = code_in(text)
    # Exim writes 5.0.0 also for a mail that it gives up after answers such as 450 4.2.0.
    if status is None or (status.endswith(".0.0") and told is not None and told[0] in (status[0], "4")):
        return told or status
    return status


def bounce_class(code: str | None, text: str) -> str:
    """Return the class of a mail that was given up with this code and text."""
    if code is None:
        return "unknown"
    if means_gone(code, text):
        return "hard"
    kind, _, detail = code.partition(".")
    if kind == "4" or detail in _LATER:
        return "soft"
    if code in _SENDER or (detail.startswith("7.") and _ABOUT_US.search(text.casefold())):
        return "sender"
    return "policy" if detail.startswith("7.") else "unknown"
