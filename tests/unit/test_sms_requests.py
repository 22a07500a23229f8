"""Requests to providers of text messages: the fields that the APIs expect."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qsl

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.channels.http_api import Request
from actors.channels.sms.provider import APIS
from actors.channels.sms.text import Text, compose, pair
from settings import providers
from settings.http_account import HttpAccount
from tests.providers.apis import SECRET, authorization
from tests.providers.sms import HELLO, TEXT, URLS

KINDS = sorted(APIS)
SERVICE = "MG" + "0a" * 16


def request(kind: str, text: Text = HELLO) -> Request:
    account = providers.parse("PROVIDER_TEST", URLS[kind]).account
    assert isinstance(account, HttpAccount)
    return APIS[kind].request(text, account)


def form(made: Request) -> dict[str, str]:
    return dict(parse_qsl(made.body.decode(), strict_parsing=True, keep_blank_values=True))


def test_twilio_gets_a_form_with_the_fields_that_it_documents() -> None:
    made = request("twilio")

    assert made.url == "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages.json"
    assert form(made) == {"To": "+41791234567", "From": "+15555550100", "Body": "Hi Zoë & + %"}


def test_twilio_gets_the_id_of_a_messaging_service_in_its_own_field() -> None:
    assert form(request("twilio", HELLO._replace(sender=SERVICE)))["MessagingServiceSid"] == SERVICE
    assert "From" not in form(request("twilio", HELLO._replace(sender=SERVICE)))


@pytest.mark.parametrize(("body", "kind"), [("Hi Zoe é", "text"), ("Hi Zoë", "unicode"), ("😜", "unicode")])
def test_vonage_gets_numbers_without_a_plus_and_the_encoding(body: str, kind: str) -> None:
    made = request("vonage", HELLO._replace(body=body))

    assert made.url == "https://rest.nexmo.com/sms/json"
    assert form(made) == {
        **{"api_key": "abc", "api_secret": SECRET, "from": "15555550100", "to": "41791234567"},
        **{"text": body, "type": kind, "client-ref": HELLO.reference},
    }


@pytest.mark.parametrize(
    ("sender", "attribute"),
    [("+15555550100", "AWS.MM.SMS.OriginationNumber"), ("ACME", "AWS.SNS.SMS.SenderID"), ("", None)],
)
def test_sns_gets_a_signed_publish_with_the_sender_as_an_attribute(sender: str, attribute: str | None) -> None:
    made = request("sns", HELLO._replace(sender=sender))

    sent = form(made)
    names = {value: number for number in "12" for name, value in sent.items() if name.endswith(f"entry.{number}.Name")}
    values = {name: sent[f"MessageAttributes.entry.{number}.Value.StringValue"] for name, number in names.items()}
    assert values == {"AWS.SNS.SMS.SMSType": "Transactional"} | ({attribute: sender} if attribute else {})
    assert {name: sent[name] for name in ("Action", "Version", "PhoneNumber", "Message")} == {
        **{"Action": "Publish", "Version": "2010-03-31"},
        **{"PhoneNumber": "+41791234567", "Message": HELLO.body},
    }
    expected = authorization(made.url, dict(made.headers), made.body, HELLO.now, service="sns")
    assert made.headers["Authorization"] == expected


def test_a_custom_provider_gets_json_with_an_idempotency_key() -> None:
    made = request("sms+https")

    assert made.url == "https://sms.example.com/v1/send"
    assert orjson.loads(made.body) == {
        **{"to": "+41791234567", "from": "+15555550100", "text": "Hi Zoë & + %"},
        **{"encoding": "ucs-2", "segments": 1},
    }
    assert made.headers["Idempotency-Key"] == HELLO.reference
    assert made.headers["Authorization"] == f"Bearer {SECRET}"
    assert orjson.loads(request("sms+https", HELLO._replace(sender="")).body)["from"] is None


def test_a_notification_becomes_the_same_message_in_every_attempt() -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    text = compose(TEXT, "+15555550100", now)

    assert text == Text("+41791234567", "Hello", "+15555550100", False, "5.60dd710212000", now)
    assert compose(TEXT._replace(retry_count=3), "+15555550100", now) == text
    named = compose(TEXT._replace(mail={"from": "ACME", "segments": 1}), "+15555550100", now)
    assert (named.sender, named.chosen) == ("ACME", True)


def test_the_suppression_of_an_opt_out_is_for_the_pair_of_number_and_sender() -> None:
    assert pair("+41791234567", "ACME") == "+41791234567 from acme"
    assert pair("+41791234567", "") == "+41791234567 from default"


@pytest.mark.parametrize("kind", KINDS)
@given(body=st.text(st.characters(codec="utf-8"), min_size=1, max_size=300))
def test_any_text_is_sent_unchanged(kind: str, body: str) -> None:
    made = request(kind, HELLO._replace(body=body))

    field = {"twilio": "Body", "vonage": "text", "sns": "Message"}.get(kind)
    assert (form(made)[field] if field else orjson.loads(made.body)["text"]) == body
    assert SECRET not in repr(made)
    assert all(value.isascii() and value.isprintable() for value in made.headers.values())
