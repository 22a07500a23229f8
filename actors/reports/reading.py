"""Read a report that comes as a mail, of any kind."""

from __future__ import annotations

from actors.reports import arf, dsn
from actors.reports.event import Event
from actors.reports.parts import Unreadable, parse

__all__ = ["Unreadable", "events"]


BEGINNING = 32_768  # octets in which another form of bounce is looked for: some forms take long to recognise


def events(raw: bytes, envelope: str | None = None) -> list[Event]:
    """Return the events of a report; none if the mail is no report, such as an out-of-office reply.

    `envelope`: the recipients of the SMTP envelope in which it came, separated by spaces.

    Raises:
        Unreadable: It is nested too deep, has too many parts, or is malformed.
    """
    message = parse(raw)
    try:
        if arf.is_feedback(message):
            return arf.events(message, envelope)
        if dsn.is_notification(message):
            return dsn.events(message, envelope)
        return list(dsn.unstructured(parse(raw[:BEGINNING]), envelope))
    except RecursionError:
        raise Unreadable("its parts are nested too deep") from None
