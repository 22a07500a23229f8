"""Messages of Amazon SNS: allowed topics, signatures, and the pages that are fetched for them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from actors.reports.event import Event
from actors.reports.providers import Forged, Malformed, Unavailable, Webhooks
from settings.report_source import ReportSource
from tests.reports import ses, sns
from tests.reports.requests import NOW, json
from tests.reports.sns import CERTIFICATE, CONFIRM, OTHER_TOPIC, TOPIC, Amazon

SOURCE = ReportSource("ses", (TOPIC,))
DELIVERY = json(ses.DOCUMENTED[0].payload).decode()
PATH = CERTIFICATE.partition(".com")[2]


def receive(values: dict[str, Any], amazon: Amazon, source: ReportSource = SOURCE) -> list[Event]:
    return asyncio.run(Webhooks(amazon.fetch).receive(sns.posted(values), source))


def refused(values: dict[str, Any], kind: type[Exception] = Forged, fetched: tuple[str, ...] = ()) -> str:
    amazon = Amazon()
    with pytest.raises(kind) as reason:
        receive(values, amazon)
    assert tuple(amazon.fetched) == fetched
    return str(reason.value)


@pytest.mark.parametrize("version", ["1", "2"])
def test_both_versions_of_the_signature_are_accepted(version: str) -> None:
    with_subject = sns.message(DELIVERY, Subject="Amazon SES Email Event Notification", UnsubscribeURL=CONFIRM)

    for message in (sns.message(DELIVERY), with_subject):
        assert receive(sns.signed(message, version), Amazon())


@pytest.mark.parametrize(("made", "said"), [("1", "2"), ("2", "1")])
def test_a_signature_of_the_other_version_is_refused(made: str, said: str) -> None:
    values = sns.signed(sns.message(DELIVERY), made) | {"SignatureVersion": said}

    assert "signature" in refused(values, fetched=(CERTIFICATE,))


@pytest.mark.parametrize("version", ["3", "", "0", None])
def test_an_unknown_version_is_refused(version: str | None) -> None:
    refused(sns.signed(sns.message(DELIVERY)) | {"SignatureVersion": version}, Malformed)


@pytest.mark.parametrize("topic", [OTHER_TOPIC, f"{TOPIC}2", TOPIC[:-1], TOPIC.upper(), f"{TOPIC}.fifo"])
def test_a_signed_message_of_another_topic_causes_no_request(topic: str) -> None:
    for values in (sns.message(DELIVERY, TopicArn=topic), sns.confirmation(TopicArn=topic)):
        assert "topic" in refused(sns.signed(values))


@pytest.mark.parametrize(
    "url",
    [
        f"https://s3.amazonaws.com{PATH}",
        f"https://bucket.s3.eu-west-1.amazonaws.com{PATH}",
        f"https://sns.eu-west-1.amazonaws.com.evil.example{PATH}",
        f"https://evil.example/sns.eu-west-1.amazonaws.com{PATH}",
        f"https://sns.eu-west-1.amazonaws.com@evil.example{PATH}",
        f"https://evil.example#sns.eu-west-1.amazonaws.com{PATH}",
        f"https://evil.example\\.sns.eu-west-1.amazonaws.com{PATH}",
        f"https://a.sns.eu-west-1.amazonaws.com{PATH}",
        f"https://sns.eu-west-1.evil.amazonaws.com{PATH}",
        f"https://sns..amazonaws.com{PATH}",
        f"https://sns.eu-west-1.amazonaws.com:8443{PATH}",
        f"https://user@sns.eu-west-1.amazonaws.com{PATH}",
        f"http://sns.eu-west-1.amazonaws.com{PATH}",
        f"ftp://sns.eu-west-1.amazonaws.com{PATH}",
        f"//sns.eu-west-1.amazonaws.com{PATH}",
        "https://sns.eu-west-1.amazonaws.com/",
        "https://sns.eu-west-1.amazonaws.com/?Action=GetTopic",
        "https://sns.eu-west-1.amazonaws.com/x/../SimpleNotificationService-1.pem",
        f"{CERTIFICATE}?a=b",
        f"{CERTIFICATE}#a",
        f"{CERTIFICATE}/x",
        f"{CERTIFICATE[:-4]}.txt",
        f"{CERTIFICATE}\n",
        f" {CERTIFICATE}",
        "https://[::1",
        "file:///etc/passwd",
        "",
    ],
)
def test_a_certificate_url_outside_amazon_is_not_fetched(url: str) -> None:
    values = sns.signed(sns.message(DELIVERY)) | {"SigningCertURL": url}

    with pytest.raises((Forged, Malformed), match="SigningCertURL"):
        receive(values, amazon := Amazon())
    assert amazon.fetched == []


@pytest.mark.parametrize("host", ["sns.cn-north-1.amazonaws.com.cn", "sns.us-gov-west-1.amazonaws.com"])
def test_certificates_of_all_aws_partitions_are_accepted(host: str) -> None:
    url = f"https://{host}{PATH}"
    amazon = Amazon({url: sns.certificate()})

    assert receive(sns.signed(sns.message(DELIVERY, SigningCertURL=url)), amazon)


@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"<html>",
        sns.certificate(sns.key(1)),
        sns.certificate(days=-1),
        sns.certificate(ec.generate_private_key(ec.SECP256R1())),
    ],
)
def test_a_fetched_page_that_is_not_the_signing_certificate_is_refused(page: bytes) -> None:
    with pytest.raises(Forged):
        receive(sns.signed(sns.message(DELIVERY)), Amazon({CERTIFICATE: page}))


def test_a_certificate_that_cannot_be_fetched_asks_amazon_to_repeat() -> None:
    with pytest.raises(Unavailable):
        receive(sns.signed(sns.message(DELIVERY)), Amazon({CERTIFICATE: TimeoutError()}))


def test_the_certificate_is_fetched_once_for_many_messages_at_a_time() -> None:
    amazon = Amazon()

    async def many() -> None:
        webhooks = Webhooks(amazon.fetch)
        posted = sns.posted(sns.signed(sns.message(DELIVERY)))
        await asyncio.gather(*(webhooks.receive(posted, SOURCE) for _ in range(20)))

    asyncio.run(many())
    assert amazon.fetched == [CERTIFICATE]


def test_forged_messages_cause_a_limited_number_of_requests() -> None:
    amazon = Amazon()

    async def attack() -> None:
        webhooks = Webhooks(amazon.fetch)
        for number in range(50):
            url = CERTIFICATE.replace("0123", f"{number:04}")
            with pytest.raises(Unavailable):
                await webhooks.receive(sns.posted(sns.signed(sns.message(DELIVERY, SigningCertURL=url))), SOURCE)

    asyncio.run(attack())
    assert len(amazon.fetched) == 10


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_subscription_to_an_allowed_topic_is_confirmed(version: str) -> None:
    amazon = Amazon()

    assert receive(sns.signed(sns.confirmation(), version), amazon) == []
    assert amazon.fetched == [CERTIFICATE, CONFIRM]


@pytest.mark.parametrize(
    "url",
    [
        CONFIRM.replace("sns.eu-west-1.amazonaws.com", "evil.example"),
        CONFIRM.replace("https:", "http:"),
        CONFIRM.replace("ConfirmSubscription", "DeleteTopic"),
        CONFIRM.replace(TOPIC, OTHER_TOPIC),
        f"{CONFIRM}&TopicArn={OTHER_TOPIC}",
        f"{CONFIRM}&Action=DeleteTopic",
        CONFIRM.replace(".com/", ".com:444/"),
        "https://169.254.169.254/latest/meta-data",
    ],
)
def test_a_subscribe_url_of_another_topic_is_not_fetched(url: str) -> None:
    refused(sns.signed(sns.confirmation(SubscribeURL=url)), fetched=(CERTIFICATE,))


def test_a_confirmation_that_amazon_did_not_sign_is_not_fetched() -> None:
    refused(sns.signed(sns.confirmation(), private=sns.key(1)), fetched=(CERTIFICATE,))


def test_a_confirmation_that_fails_asks_amazon_to_repeat() -> None:
    with pytest.raises(Unavailable):
        receive(sns.signed(sns.confirmation()), Amazon({CERTIFICATE: sns.certificate(), CONFIRM: OSError()}))


def test_the_end_of_a_subscription_gives_no_event() -> None:
    assert receive(sns.signed(sns.confirmation(Type="UnsubscribeConfirmation")), amazon := Amazon()) == []
    assert amazon.fetched == [CERTIFICATE]


def test_the_first_message_of_ses_gives_no_event() -> None:
    words = "Successfully validated SNS topic for Amazon SES event publishing."

    assert receive(sns.signed(sns.message(words)), Amazon()) == []


def test_a_message_without_a_signature_is_refused_with_the_fix() -> None:
    raw = sns.posted({"eventType": "Delivery"})
    raw = raw._replace(headers={**raw.headers, "x-amz-sns-rawdelivery": "true"})

    with pytest.raises(Forged, match="switch it off"):
        asyncio.run(Webhooks(Amazon().fetch).receive(raw, SOURCE))


@pytest.mark.parametrize(
    "name", ["Type", "MessageId", "TopicArn", "Message", "Timestamp", "Signature", "SignatureVersion", "SigningCertURL"]
)
@pytest.mark.parametrize("value", [None, "", 7, True, [], {}, ["a"], "a\x00b", "x" * 5_000])
def test_each_field_of_a_message_must_be_a_text(name: str, value: object) -> None:
    values = sns.signed(sns.message(DELIVERY)) | {name: value}

    with pytest.raises((Forged, Malformed, Unavailable)):
        receive(values, amazon := Amazon())
    assert set(amazon.fetched) <= {CERTIFICATE}


def test_events_of_several_recipients_have_ids_of_their_own() -> None:
    payload = ses.event("Delivery", delivery={**ses.DELIVERY, "recipients": ["a@example.com", "b@example.com"]})

    events = receive(sns.signed(sns.message(json(payload).decode())), Amazon())

    assert [event.recipient for event in events] == ["a@example.com", "b@example.com"]
    assert len({event.event_id for event in events}) == 2


def test_a_complaint_with_several_possible_recipients_names_no_recipient() -> None:
    several = [{"emailAddress": "a@example.com"}, {"emailAddress": "b@example.com"}]
    payload = ses.complaint(complainedRecipients=several)

    [event] = receive(sns.signed(sns.message(json(payload).decode(), NOW)), Amazon())

    assert (event.kind, event.recipient) == ("complained", None)
