"""Amazon SES: events published to an SNS topic, by a configuration set or as notifications of an identity."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from actors.reports.event import Event
from actors.reports.providers.fields import Fields, address, document
from actors.reports.providers.meaning import (
    COMPLAINED,
    DELAYED,
    DELIVERED,
    HARD,
    POLICY,
    SENDER,
    SOFT,
    UNKNOWN,
    UNSUBSCRIBED,
    Meaning,
    by_code,
)
from actors.reports.providers.received import Received
from actors.reports.providers.sns import LIMIT, Sns, SnsMessage
from actors.reports.reference import REFERENCE
from settings.report_source import ReportSource

# bounceType and bounceSubType; Resend reports the same.
BOUNCES = {
    ("Permanent", "General"): HARD,
    ("Permanent", "NoEmail"): HARD,
    # On a list of Amazon or of the account: the mail was not tried.
    ("Permanent", "Suppressed"): POLICY,
    ("Permanent", "OnAccountSuppressionList"): POLICY,
    ("Permanent", "UnsubscribedRecipient"): POLICY,
    ("Transient", "General"): SOFT,
    ("Transient", "MailboxFull"): SOFT,
    ("Transient", "MessageTooLarge"): SOFT,
    ("Transient", "CustomTimeoutExceeded"): SOFT,
    ("Transient", "ContentRejected"): POLICY,
    ("Transient", "AttachmentRejected"): POLICY,
    ("Undetermined", "Undetermined"): UNKNOWN,
}
_TEXTS = "smtp; "


async def receive(received: Received, source: ReportSource, sns: Sns) -> list[Event]:
    """Return the events of a message; confirm the subscription if it asks for that."""
    message = await sns.receive(received, source.keys)
    if message.kind == "SubscriptionConfirmation":
        await sns.confirm(message)
    if message.kind != "Notification" or message.message.startswith("Successfully validated SNS topic"):
        return []
    return _events(message)


def _events(message: SnsMessage) -> list[Event]:
    event = Fields(document(message.message.encode(), LIMIT, "Message"), "Message")
    kind = event.text("eventType", "notificationType") or ""
    mail = event.fields("mail")
    token = next(iter(mail.fields("tags").texts(REFERENCE)), None)
    about = Event("", token, mail.text("messageId"), None, None, None, "", None, message.id)
    found = list(_READERS[kind](event, about)) if kind in _READERS else []
    # One message may be about several recipients. Each of their events needs an id of its own.
    return [one._replace(event_id=f"{message.id}/{index}") if index else one for index, one in enumerate(found)]


def _bounced(event: Fields, about: Event) -> Iterator[Event]:
    bounce = event.fields("bounce")
    kind = (bounce.text("bounceType") or "", bounce.text("bounceSubType") or "")
    meaning = BOUNCES.get(kind, UNKNOWN)
    for recipient in bounce.objects("bouncedRecipients"):
        code = recipient.text("status")
        if kind == ("Transient", "General") and recipient.text("action", "status") is None:
            continue  # an automatic answer, such as out of office
        yield _of(about, by_code(code, meaning), recipient.text("emailAddress"))._replace(
            code=code, text=recipient.words("diagnosticCode").removeprefix(_TEXTS), at=bounce.moment("timestamp")
        )


def _complained(event: Fields, about: Event) -> Iterator[Event]:
    complaint = event.fields("complaint")
    recipients = [one.text("emailAddress") for one in complaint.objects("complainedRecipients")]
    if complaint.text("complaintFeedbackType") == "not-spam":
        return
    # Amazon lists all who may have complained. If there are several, nobody knows who did.
    recipient = recipients[0] if len(recipients) == 1 else None
    not_sent = complaint.text("complaintSubType") == "OnAccountSuppressionList"
    words = complaint.words("complaintFeedbackType", "complaintSubType")
    found = _of(about, POLICY if not_sent else COMPLAINED, recipient)
    yield found._replace(text=words, at=complaint.moment("timestamp", "arrivalDate"))


def _delivered(event: Fields, about: Event) -> Iterator[Event]:
    delivery = event.fields("delivery")
    for recipient in delivery.texts("recipients"):
        found = _of(about, DELIVERED, recipient)
        yield found._replace(text=delivery.words("smtpResponse"), at=delivery.moment("timestamp"))


def _delayed(event: Fields, about: Event) -> Iterator[Event]:
    delay = event.fields("deliveryDelay")
    for recipient in delay.objects("delayedRecipients"):
        yield _of(about, DELAYED, recipient.text("emailAddress"))._replace(
            code=recipient.text("status"),
            text=recipient.words("diagnosticCode") or delay.words("delayType"),
            at=delay.moment("timestamp"),
        )


def _rejected(event: Fields, about: Event) -> Iterator[Event]:
    mail = event.fields("mail")
    text = event.fields("reject").words("reason")
    yield _of(about, POLICY, _only(mail))._replace(text=text, at=mail.moment("timestamp"))


def _not_rendered(event: Fields, about: Event) -> Iterator[Event]:
    mail = event.fields("mail")
    text = event.fields("failure").words("errorMessage")
    yield _of(about, SENDER, _only(mail))._replace(text=text, at=mail.moment("timestamp"))


def _subscription(event: Fields, about: Event) -> Iterator[Event]:
    subscription = event.fields("subscription")
    if subscription.fields("newTopicPreferences").flag("unsubscribeAll"):
        found = _of(about, UNSUBSCRIBED, _only(event.fields("mail")))
        yield found._replace(text=subscription.words("source"), at=subscription.moment("timestamp"))


_READERS: dict[str, Callable[[Fields, Event], Iterator[Event]]] = {
    "Bounce": _bounced,
    "Complaint": _complained,
    "Delivery": _delivered,
    "DeliveryDelay": _delayed,
    "Reject": _rejected,
    "Rendering Failure": _not_rendered,
    "Subscription": _subscription,
}


def _of(about: Event, meaning: Meaning, recipient: str | None) -> Event:
    recipient = address(recipient) if recipient else None
    return about._replace(kind=meaning.kind, bounce_class=meaning.bounce_class, recipient=recipient)


def _only(mail: Fields) -> str | None:
    """Return the recipient of a mail; None if there are several."""
    recipients = mail.texts("destination")
    return recipients[0] if len(recipients) == 1 else None
