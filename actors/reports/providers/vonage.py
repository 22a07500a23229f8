"""Vonage: receipts and incoming messages of the Messages API and the SMS API."""

from __future__ import annotations

from actors.reports.event import Event
from actors.reports.providers import opt_out
from actors.reports.providers.fields import Fields
from actors.reports.providers.meaning import DELAYED, DELIVERED, HARD, POLICY, SENDER, SOFT, UNKNOWN, UNSUBSCRIBED
from actors.reports.providers.received import Malformed, Received
from actors.reports.providers.vonage_proof import signed_values
from settings.report_source import ReportSource

# err-code of the SMS API, and the code of the Messages API that means the same.
_CODES = {
    **dict.fromkeys(("3", "1190"), HARD),  # the number is not used any more
    "4": HARD,  # barred by the person
    **dict.fromkeys(("2", "1180"), SOFT),  # absent
    **dict.fromkeys(("5", "1200"), SOFT),  # portability
    **dict.fromkeys(("7", "1220"), SOFT),  # busy
    **dict.fromkeys(("8", "1230"), SOFT),  # network error
    **dict.fromkeys(("15", "1290"), SOFT),  # no prepaid credit
    **dict.fromkeys(("1000", "1030"), SOFT),  # too many requests, internal error
    **dict.fromkeys(("6", "1210"), POLICY),  # taken for spam
    **dict.fromkeys(("9", "1240"), POLICY),  # the person does not want messages of this service
    **dict.fromkeys(("13", "1270"), POLICY),  # age
    **dict.fromkeys(("14", "1280"), POLICY),  # blocked by the carrier
    "1050": POLICY,  # on a list of Vonage
    **dict.fromkeys(("10", "16"), SENDER),  # illegal message, quota
    **dict.fromkeys(("39", "1120"), SENDER),  # the sender is not allowed in this country
    **dict.fromkeys(("50", "51", "52", "53", "54"), SENDER),  # registration and regulation
    **dict.fromkeys(("1060", "1070", "1140"), SENDER),  # account, credit, a feature that is not enabled
}
_STOPPED = ("9", "1240")
_FAILED = {"failed", "rejected", "undeliverable", "expired", "deleted"}


def receive(received: Received, source: ReportSource) -> list[Event]:
    """Return the events of a receipt or an incoming message, if it is one that counts."""
    return _events(Fields(signed_values(received, source)))


def _events(report: Fields) -> list[Event]:
    id = report.text("message_uuid", "messageId")
    if id is None:
        raise Malformed("message_uuid and messageId are missing")
    status = report.text("status")
    if status is None:
        return _incoming(report, id)
    error = report.fields("error")
    code = report.text("err-code") or error.text("title")
    # In a receipt of the SMS API `msisdn` is the person; in one of the Messages API it is `to`.
    person, ours = ("msisdn", "to") if report.has("msisdn") else ("to", "from")
    number = _number(report.need(person))
    event = Event(
        kind=DELIVERED.kind,
        token=report.text("client_ref", "client-ref"),
        provider_message_id=id,
        recipient=number,
        bounce_class=None,
        code=code,
        text=error.words("detail") or status,
        at=report.moment("timestamp") if report.has("message_uuid") else report.moment("message-timestamp"),
        event_id=f"{id}:{status}",
    )
    if status in ("delivered", "read"):
        return [event]
    if status == "buffered":
        return [event._replace(kind=DELAYED.kind)]
    if status not in _FAILED:
        return []
    found = _CODES.get(code or "", SOFT if status == "expired" else UNKNOWN)
    bounced = event._replace(kind=found.kind, bounce_class=found.bounce_class)
    sender = report.text(ours)
    if code not in _STOPPED or sender is None:
        return [bounced]
    stopped = event._replace(event_id=f"{event.event_id}/stopped")
    return [bounced, *opt_out.per_sender(stopped, UNSUBSCRIBED, number, [_number(sender)])]


def _incoming(report: Fields, id: str) -> list[Event]:
    text = report.words("text")
    meaning = opt_out.meaning_of(text)
    if meaning is None:
        return []
    at = report.moment("timestamp") if report.has("message_uuid") else report.moment("message-timestamp")
    event = Event("", None, None, None, None, None, text, at, f"{id}:received")
    person, ours = _number(report.text("msisdn") or report.need("from")), _number(report.need("to"))
    return opt_out.per_sender(event, meaning, person, [ours])


def _number(given: str) -> str:
    """Return a number in E.164, which Vonage writes without the plus; a name of a sender as it is."""
    return f"+{given}" if given.isascii() and given.isdigit() and len(given) > 6 else given
