"""Events of Amazon SES, in messages of Amazon SNS."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from actors.reports.providers import Received, Webhooks
from settings.report_source import ReportSource
from tests.reports import sns
from tests.reports.requests import TOKEN, Documented, Provider, json

AT = "2026-11-29T11:59:38.237Z"
MAIL = {
    "timestamp": AT,
    "source": "shop@example.com",
    "messageId": "00000138111222aa-33322211-cccc-cccc-cccc-ddddaaaa0680-000000",
    "destination": ["ann@example.com"],
    "tags": {"ses:configuration-set": ["main"], "notify_token": [TOKEN]},
}


def sign(payload: Any, key: int, at: datetime) -> Received:
    """Sign with SHA-256, or (1) SHA-1, which is what topics do by default."""
    return sns.posted(sns.signed(sns.message(json(payload).decode(), at), "21"[key]))


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"eventType": kind, "mail": MAIL, **fields}


def bounce(kind: str, subtype: str, **recipient: str) -> dict[str, Any]:
    recipients = [{"emailAddress": "ann@example.com", "action": "failed", **recipient}]
    about = {"bounceType": kind, "bounceSubType": subtype, "bouncedRecipients": recipients, "timestamp": AT}
    return event("Bounce", bounce=about | {"feedbackId": "00000138111222aa"})


def complaint(**fields: Any) -> dict[str, Any]:
    about = {"complainedRecipients": [{"emailAddress": "ann@example.com"}], "timestamp": AT, "feedbackId": "1"}
    return event("Complaint", complaint=about | fields)


def subscription(unsubscribed: bool) -> dict[str, Any]:
    about = {"source": "UnsubscribeHeader", "timestamp": AT, "newTopicPreferences": {"unsubscribeAll": unsubscribed}}
    return event("Subscription", subscription=about)


AUTOMATIC = bounce("Transient", "General")
del AUTOMATIC["bounce"]["bouncedRecipients"][0]["action"]
DELIVERY = {"timestamp": AT, "recipients": ["ann@example.com"], "smtpResponse": "250 ok", "processingTimeMillis": 546}
DELAYED = {"emailAddress": "ann@example.com", "status": "4.4.1", "diagnosticCode": "smtp; 421 4.4.1 Unable to connect"}

DOCUMENTED = [
    Documented("Delivery", "delivered", event("Delivery", delivery=DELIVERY)),
    Documented("Bounce, Permanent, General", "bounced: hard", bounce("Permanent", "General", status="5.1.1")),
    Documented("Bounce, Permanent, NoEmail", "bounced: hard", bounce("Permanent", "NoEmail")),
    Documented("Bounce, Permanent, Suppressed", "bounced: policy", bounce("Permanent", "Suppressed", status="5.1.1")),
    Documented(
        "Bounce, Permanent, OnAccountSuppressionList",
        "bounced: policy",
        bounce("Permanent", "OnAccountSuppressionList"),
    ),
    Documented(
        "Bounce, Permanent, UnsubscribedRecipient", "bounced: policy", bounce("Permanent", "UnsubscribedRecipient")
    ),
    Documented("Bounce, Transient, General", "bounced: soft", bounce("Transient", "General", status="4.4.7")),
    Documented("Bounce, Transient, General, an automatic answer", "nothing", AUTOMATIC),
    Documented("Bounce, Transient, MailboxFull", "bounced: soft", bounce("Transient", "MailboxFull", status="5.2.2")),
    Documented("Bounce, Transient, MessageTooLarge", "bounced: soft", bounce("Transient", "MessageTooLarge")),
    Documented(
        "Bounce, Transient, CustomTimeoutExceeded", "bounced: soft", bounce("Transient", "CustomTimeoutExceeded")
    ),
    Documented("Bounce, Transient, ContentRejected", "bounced: policy", bounce("Transient", "ContentRejected")),
    Documented("Bounce, Transient, AttachmentRejected", "bounced: policy", bounce("Transient", "AttachmentRejected")),
    Documented("Bounce, Undetermined", "bounced: unknown", bounce("Undetermined", "Undetermined")),
    Documented("Complaint", "complained", complaint(complaintFeedbackType="abuse")),
    Documented("Complaint, not-spam", "nothing", complaint(complaintFeedbackType="not-spam")),
    Documented(
        "Complaint, OnAccountSuppressionList",
        "bounced: policy",
        complaint(complaintSubType="OnAccountSuppressionList"),
    ),
    Documented(
        "DeliveryDelay",
        "delayed",
        event(
            "DeliveryDelay",
            deliveryDelay={"timestamp": AT, "delayType": "Undetermined", "delayedRecipients": [DELAYED]},
        ),
    ),
    Documented("Reject", "bounced: policy", event("Reject", reject={"reason": "Bad content"})),
    Documented("Rendering Failure", "bounced: sender", event("Rendering Failure", failure={"errorMessage": "no name"})),
    Documented("Subscription, unsubscribed from all", "unsubscribed", subscription(True)),
    Documented("Subscription, other preferences", "nothing", subscription(False)),
    Documented("Send, Open, Click", "nothing", event("Open", open={"timestamp": AT})),
]

PROVIDER = Provider(
    kind="ses",
    source=ReportSource("ses", (sns.TOPIC,)),
    stranger=ReportSource("ses", (sns.OTHER_TOPIC,)),
    documented=DOCUMENTED,
    sign=sign,
    headers=(),
    covers_body=True,
    oldest=timedelta(hours=2),
    webhooks=lambda: Webhooks(sns.Amazon().fetch),
)
