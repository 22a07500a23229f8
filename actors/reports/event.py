"""Event of a report, in the form that all mail systems have in common."""

from datetime import datetime
from typing import NamedTuple


class Event(NamedTuple):
    """Statement of a report about one recipient of one notification."""

    # delivered, delayed, bounced, complained or unsubscribed; opens and clicks are ignored
    kind: str
    # our keyed token, as found in the return path, the ENVID, or the provider's reference field
    token: str | None
    provider_message_id: str | None
    # as the report writes it; None if it is redacted
    recipient: str | None
    # hard, soft, policy, sender or unknown; only for bounced
    bounce_class: str | None
    # enhanced status code (RFC 3463) or the provider's code
    code: str | None
    # printable words, at most 500 characters
    text: str
    # when it happened, aware
    at: datetime | None
    # the provider's id of the event, for duplicates
    event_id: str | None
