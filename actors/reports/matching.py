"""Find the notification and the recipient that an event is about.

Only our own token, or the id of a message in an event whose origin was verified, leads to a notification. Addresses and
Message-IDs lead nowhere, because everybody who got a mail from us can write them into a forged report.
"""

from __future__ import annotations

from collections.abc import Sequence

from actors.channels.email.addresses import normalised
from actors.reports import tokens
from actors.reports.event import Event
from db import incoming_reports
from db.incoming_reports import Taken
from db.lifecycle.evidence import KINDS, Evidence


def evidence(event: Event, report: Taken, keys: Sequence[bytes], *, verified: bool) -> Evidence | None:
    """Return what an event proves, or None if it is about no notification of ours. Call within `connection()`.

    `verified`: the event comes from the provider `report.source`, which has signed it.
    """
    if event.kind not in KINDS:
        return None
    id = _notification(event, report, keys, verified=verified)
    recipients = incoming_reports.addresses(id) if id is not None else []
    if id is None or not recipients:
        return None
    recipient = _recipient(event, recipients)
    return Evidence(
        notification_id=id,
        report_id=report.id,
        source=report.source,
        kind=event.kind,
        about_copy=recipient is not None and recipient != recipients[0],
        recipient=recipient,
        bounce_class=event.bounce_class or "unknown" if event.kind == "bounced" else None,
        code=event.code,
        text=event.text,
        at=event.at,
        event_id=event.event_id,
    )


def _notification(event: Event, report: Taken, keys: Sequence[bytes], *, verified: bool) -> int | None:
    if event.token is not None and (id := tokens.notification_of(event.token, keys)) is not None:
        return id
    if verified and event.provider_message_id:
        return incoming_reports.notification_of(report.source, event.provider_message_id)
    return None


def _recipient(event: Event, recipients: Sequence[str]) -> str | None:
    """Return the recipient that the event names, or the only one if it names none.

    An address that is none of ours, such as one to which our recipient forwards, names nobody: nobody is suppressed.
    """
    if event.recipient is None:
        return recipients[0] if len(recipients) == 1 else None
    named = normalised(event.recipient)
    return named if named in recipients else None
