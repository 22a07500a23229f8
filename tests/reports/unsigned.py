"""Webhooks that are not signed, of Postmark, Brevo, SparkPost and Mailjet: a secret comes with each request."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from actors.reports.providers import Received
from settings.report_source import ReportSource
from tests.reports.requests import TOKEN, Documented, Provider, json, request

SECRETS = ("first-secret-of-32-characters-ab", "older-secret-of-32-characters-ab")


def sign(payload: Any, key: int, at: datetime) -> Received:
    password = b64encode(f"reports:{SECRETS[key]}".encode()).decode()
    return request(json(payload), {"Authorization": f"Basic {password}"})._replace(at=at)


def provider(kind: str, documented: Sequence[Documented]) -> Provider:
    return Provider(
        kind=kind,
        source=ReportSource(kind, secrets=SECRETS),
        stranger=ReportSource(kind, secrets=("another-secret-of-32-characters-",)),
        documented=documented,
        sign=sign,
        headers=("Authorization",),
        covers_body=False,
        oldest=None,
    )


def postmark(record: str, **fields: Any) -> dict[str, Any]:
    about = {
        "RecordType": record,
        "MessageID": "883953f4-6105-42a2-a16a-77a8eac79483",
        "Metadata": {"notify_token": TOKEN},
    }
    return about | fields


def bounced(kind: str, details: str = "smtp;550 no code") -> dict[str, Any]:
    return postmark(
        *("Bounce",),
        ID=4323372036854775807,
        Type=kind,
        Email="ann@example.com",
        Description="The server was unable to deliver your message",
        Details=details,
        BouncedAt="2026-11-29T11:59:54.9070259Z",
    )


def changed(suppress: bool, origin: str, reason: str | None) -> dict[str, Any]:
    fields = {"Recipient": "ann@example.com", "Origin": origin, "SuppressionReason": reason}
    return postmark("SubscriptionChange", SuppressSending=suppress, ChangedAt="2026-11-29T11:00:00Z", **fields)


POSTMARK = [
    Documented(
        "Delivery",
        "delivered",
        postmark("Delivery", Recipient="ann@example.com", DeliveredAt="2026-11-29T06:59:00-05:00", Details="250 OK"),
    ),
    Documented("Bounce HardBounce", "bounced: hard", bounced("HardBounce")),
    Documented("Bounce BadEmailAddress", "bounced: hard", bounced("BadEmailAddress")),
    Documented("Bounce SoftBounce", "bounced: soft", bounced("SoftBounce")),
    Documented("Bounce DnsError", "bounced: soft", bounced("DnsError")),
    Documented("Bounce Transient", "delayed", bounced("Transient")),
    Documented("Bounce SpamNotification", "bounced: policy", bounced("SpamNotification")),
    Documented("Bounce VirusNotification", "bounced: policy", bounced("VirusNotification")),
    Documented("Bounce Blocked", "bounced: policy", bounced("Blocked")),
    Documented("Bounce ManuallyDeactivated", "bounced: policy", bounced("ManuallyDeactivated")),
    Documented("Bounce Unconfirmed", "bounced: sender", bounced("Unconfirmed")),
    Documented("Bounce SMTPApiError", "bounced: sender", bounced("SMTPApiError")),
    Documented("Bounce DMARCPolicy", "bounced: sender", bounced("DMARCPolicy")),
    Documented("Bounce TemplateRenderingFailed", "bounced: sender", bounced("TemplateRenderingFailed")),
    Documented("Bounce Unknown", "bounced: unknown", bounced("Unknown")),
    Documented("Bounce Unsubscribe", "unsubscribed", bounced("Unsubscribe")),
    Documented("Bounce SpamComplaint", "complained", bounced("SpamComplaint")),
    Documented("Bounce AutoResponder", "nothing", bounced("AutoResponder")),
    Documented("Bounce AddressChange", "nothing", bounced("AddressChange")),
    Documented("Bounce ChallengeVerification", "nothing", bounced("ChallengeVerification")),
    Documented("Bounce OpenRelayTest", "nothing", bounced("OpenRelayTest")),
    Documented("Bounce InboundError", "nothing", bounced("InboundError")),
    Documented("Bounce Subscribe", "nothing", bounced("Subscribe")),
    Documented("SpamComplaint", "complained", bounced("SpamComplaint") | {"RecordType": "SpamComplaint"}),
    Documented("SubscriptionChange by the recipient", "unsubscribed", changed(True, "Recipient", "ManualSuppression")),
    Documented(
        "SubscriptionChange by the recipient, who wants mails again", "resubscribed", changed(False, "Recipient", None)
    ),
    Documented("SubscriptionChange after a bounce", "nothing", changed(True, "Recipient", "HardBounce")),
    Documented("SubscriptionChange by others", "nothing", changed(True, "Customer", "ManualSuppression")),
    Documented("Open", "nothing", postmark("Open", Recipient="ann@example.com")),
    Documented("Click", "nothing", postmark("Click", Recipient="ann@example.com")),
    Documented("Inbound", "nothing", {"RecordType": "Inbound", "FromName": "Ann"}),
]


def brevo(event: str, **fields: Any) -> dict[str, Any]:
    about = {"event": event, "email": "ann@example.com", "id": 26224, "date": "2026-11-29 13:00:00", "ts": 1795957200}
    return about | {
        "message-id": "<202611291200.12345@smtp-relay.mailin.fr>",
        "ts_epoch": 1795953600123,
        "X-Mailin-custom": f"notify_token:{TOKEN}",
        **fields,
    }


BREVO = [
    Documented("delivered", "delivered", brevo("delivered")),
    Documented("hard_bounce", "bounced: hard", brevo("hard_bounce", reason="server is down")),
    Documented("invalid_email", "bounced: hard", brevo("invalid_email")),
    Documented("soft_bounce", "bounced: soft", brevo("soft_bounce", reason="server is down")),
    Documented("blocked", "bounced: policy", brevo("blocked", reason="blocked : due to blacklist user")),
    Documented("error", "bounced: unknown", brevo("error", reason="unknown error")),
    Documented("deferred", "delayed", brevo("deferred", reason="spamd unavailable")),
    Documented("spam", "complained", brevo("spam")),
    Documented("complaint", "complained", brevo("complaint")),
    Documented("unsubscribe", "unsubscribed", brevo("unsubscribe")),
    Documented("unsubscribed", "unsubscribed", brevo("unsubscribed")),
    *(Documented(name, "nothing", brevo(name)) for name in ("request", "click", "opened", "unique_opened")),
    *(Documented(name, "nothing", brevo(name)) for name in ("proxy_open", "unique_proxy_open", "list_addition")),
]


def sparkpost(kind: str, group: str = "message_event", **fields: Any) -> list[dict[str, Any]]:
    event: dict[str, Any] = {
        "type": kind,
        "event_id": "92356927693813856",
        "raw_rcpt_to": "ann@example.com",
        "timestamp": "1795953600",
    }
    event |= {
        "transmission_id": "65832150921904138",
        "message_id": "000443ee14578172be22",
        "rcpt_meta": {"notify_token": TOKEN},
    }
    return [{"msys": {group: event | fields}}]


def class_of(number: str) -> list[dict[str, Any]]:
    return sparkpost("bounce", bounce_class=number, error_code="550", raw_reason="no code")


SPARKPOST = [
    Documented("delivery", "delivered", sparkpost("delivery")),
    Documented("delay", "delayed", sparkpost("delay", raw_reason="451 4.2.0 later", error_code="451")),
    Documented("bounce, class 10 or 30", "bounced: hard", class_of("10") + class_of("30")),
    Documented(
        "bounce, class 20 to 24 or 70",
        "bounced: soft",
        [*class_of("20"), *class_of("21"), *class_of("22"), *class_of("23"), *class_of("24"), *class_of("70")],
    ),
    Documented(
        "bounce, class 25 or 50 to 54",
        "bounced: policy",
        [*class_of("25"), *class_of("50"), *class_of("51"), *class_of("52"), *class_of("53"), *class_of("54")],
    ),
    Documented("bounce, class 1 or 40", "bounced: unknown", class_of("1") + class_of("40")),
    Documented("bounce, class 90", "unsubscribed", class_of("90")),
    Documented("bounce, class 60, 80 or 100", "nothing", class_of("60") + class_of("80") + class_of("100")),
    Documented("out_of_band", "bounced: hard", sparkpost("out_of_band", bounce_class="10", raw_reason="550 no")),
    Documented("policy_rejection", "bounced: policy", sparkpost("policy_rejection", raw_reason="exceeded limit")),
    Documented("generation_failure", "bounced: sender", sparkpost("generation_failure", "gen_event")),
    Documented("generation_rejection", "bounced: sender", sparkpost("generation_rejection", "gen_event")),
    Documented("spam_complaint", "complained", sparkpost("spam_complaint", fbtype="abuse")),
    Documented("spam_complaint, not-spam", "nothing", sparkpost("spam_complaint", fbtype="not-spam")),
    Documented("list_unsubscribe", "unsubscribed", sparkpost("list_unsubscribe", "unsubscribe_event")),
    Documented("link_unsubscribe", "unsubscribed", sparkpost("link_unsubscribe", "unsubscribe_event")),
    Documented("injection", "nothing", sparkpost("injection")),
    Documented("open, click, initial_open", "nothing", sparkpost("open", "track_event")),
    Documented("a test without an event", "nothing", [{"msys": {}}]),
]


def mailjet(event: str, **fields: Any) -> dict[str, Any]:
    about = {"event": event, "time": 1795953600, "MessageID": 19421777835146490, "email": "ann@example.com"}
    return about | {"CustomID": TOKEN, "Payload": "", "mj_campaign_id": 7257} | fields


def failed(error: str, hard: bool = False, event: str = "bounce") -> dict[str, Any]:
    return mailjet(event, blocked=False, hard_bounce=hard, error_related_to="recipient", error=error, comment="")


MAILJET = [
    Documented("sent", "delivered", mailjet("sent", smtp_reply="250 2.0.0 OK")),
    Documented("bounce, hard_bounce", "bounced: hard", failed("user unknown", hard=True)),
    Documented("bounce, user unknown", "bounced: hard", failed("user unknown")),
    Documented("bounce, typofix", "bounced: hard", failed("typofix")),
    Documented("bounce, mailbox inactive", "bounced: soft", failed("mailbox inactive")),
    Documented("bounce, quota exceeded", "bounced: soft", failed("quota exceeded")),
    Documented(
        "bounce, invalid domain or no mail host", "bounced: soft", [failed("invalid domain"), failed("no mail host")]
    ),
    Documented(
        "bounce, system, protocol or connection issue",
        "bounced: soft",
        [failed("system issue"), failed("protocol issue"), failed("connection issue")],
    ),
    Documented("bounce, relay/access denied", "bounced: policy", failed("relay/access denied")),
    Documented(
        "bounce, content blocked or policy issue",
        "bounced: policy",
        [failed("content blocked"), failed("policy issue")],
    ),
    Documented("bounce, sender blocked", "bounced: sender", failed("sender blocked")),
    Documented("bounce, template error", "bounced: sender", failed("template error")),
    Documented("bounce, greylisted", "delayed", failed("greylisted")),
    Documented("bounce, another error", "bounced: unknown", failed("a new one")),
    Documented(
        "blocked, preblocked, blacklisted or spam reporter",
        "bounced: policy",
        [failed(error, event="blocked") for error in ("preblocked", "blacklisted", "spam reporter")],
    ),
    Documented("blocked, duplicate in campaign", "bounced: sender", failed("duplicate in campaign", event="blocked")),
    Documented("spam", "complained", mailjet("spam", source="JMRPP")),
    Documented("unsub", "unsubscribed", mailjet("unsub", mj_list_id=1)),
    Documented("open, click", "nothing", [mailjet("open", ip="::1"), mailjet("click", url="https://example.com")]),
]

PROVIDERS = [
    provider("postmark", POSTMARK),
    provider("brevo", BREVO),
    provider("sparkpost", SPARKPOST),
    provider("mailjet", MAILJET),
]
