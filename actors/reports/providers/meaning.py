"""Meanings of the events that providers report, and of the codes of bounces."""

from __future__ import annotations

import re
from typing import NamedTuple


class Meaning(NamedTuple):
    """Kind of an event, and of a bounce its class."""

    kind: str
    bounce_class: str | None = None


DELIVERED = Meaning("delivered")
DELAYED = Meaning("delayed")
COMPLAINED = Meaning("complained")
UNSUBSCRIBED = Meaning("unsubscribed")
RESUBSCRIBED = Meaning("resubscribed")
# The recipient does not exist.
HARD = Meaning("bounced", "hard")
# Temporary: mailbox full, server away. The provider has given up.
SOFT = Meaning("bounced", "soft")
# The message or its sender is not wanted: content, reputation, a list of the provider.
POLICY = Meaning("bounced", "policy")
# The fault is in our account, domain or request.
SENDER = Meaning("bounced", "sender")
UNKNOWN = Meaning("bounced", "unknown")

# Enhanced status codes (RFC 3463, the IANA registry) that are about the mailbox, and those that are about us.
_HARD = frozenset({"5.1.1", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})
_SENDER = frozenset({"5.1.7", "5.1.8", "5.1.9", "5.7.27", "5.7.509", "5.7.515", *(f"5.7.{n}" for n in range(20, 27))})
_SOFT = frozenset({"5.2.2", "5.2.3", "5.4.7"})  # mailbox full, mail too large, expired
# By the subject of the code: content and security; the other mail system; the protocol.
_POLICY, _TEMPORARY, _PROTOCOL = ("5.6.", "5.7."), ("4.", "5.3."), "5.5."
_CODE = re.compile(r"(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?![\d.])")


def code_in(text: str) -> str | None:
    """Return the first enhanced status code in the words of a mail server; None if there is none."""
    found = _CODE.search(text)
    return found[0] if found else None


def by_code(code: str | None, otherwise: Meaning) -> Meaning:
    """Return the meaning of an event, where that is a bounce with regard to its enhanced status code.

    Providers call many refusals hard, and only the code says that the recipient is not to blame. But what a provider
    calls temporary is never hard, and what it has recognised as policy stays so.
    """
    if otherwise not in (HARD, SOFT, UNKNOWN) or not code or not _CODE.fullmatch(code):
        return otherwise
    if code in _SENDER:
        return SENDER
    if code.startswith(_POLICY):
        return POLICY
    if otherwise == SOFT or code in _SOFT or code.startswith(_TEMPORARY):
        return SOFT
    if code in _HARD:
        return HARD
    return UNKNOWN if code.startswith(_PROTOCOL) else otherwise
