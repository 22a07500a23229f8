"""Webhooks of Twilio and Vonage: the signatures that they document, and people who stop or resume messages."""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta
from urllib.parse import urlencode

import pytest

from actors.reports.event import Event
from actors.reports.providers import Forged, Malformed, Received
from settings.report_source import ReportSource
from tests.reports import twilio, vonage
from tests.reports.requests import NOW, URL, json, read, request

BODY = json(vonage.status("delivered"))


def refused(received: Received, source: ReportSource = vonage.PROVIDER.source) -> str:
    with pytest.raises(Forged) as reason:
        read(received, source)
    return str(reason.value)


@pytest.mark.parametrize(
    ("number", "signature"),
    [("+14158675310", "GvWf1cFY/Q7PnoempGyD5oXAezc="), ("+14158675309", "RSOYDt4T1cUTdK1PDd93/VVr8B8=")],
)
def test_the_signatures_in_the_documentation_of_twilio_verify(number: str, signature: str) -> None:
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    fields = {"CallSid": "CA1234567890ABCDE", "Caller": number, "Digits": "1234", "From": number, "To": "+18005551212"}
    received = request(urlencode(fields).encode(), {"X-Twilio-Signature": signature}, url)

    with pytest.raises(Malformed, match="MessageSid is missing"):  # It is about a call.
        read(received, ReportSource("twilio", ("12345",)))
    assert "signature" in refused(received, ReportSource("twilio", ("12346",)))


def test_twilio_may_sign_with_the_port_and_with_sha256() -> None:
    with_port = twilio.signed(twilio.status("delivered"), twilio.KEYS[0], URL.replace(".com/", ".com:443/"))
    assert read(with_port._replace(url=URL), twilio.PROVIDER.source)
    newer = twilio.signed(twilio.status("delivered"), twilio.KEYS[0], hashing="sha256")
    newer.headers["X-Twilio-Webhooks-Signature-Settings"] = "key=KY1,algorithm=HMAC_SHA256"  # type: ignore[index]
    assert read(newer, twilio.PROVIDER.source)
    assert refused(twilio.signed(twilio.status("delivered"), twilio.KEYS[0], hashing="sha256"), twilio.PROVIDER.source)


def test_fields_of_any_script_with_spaces_and_repeated_names_are_signed() -> None:
    fields = twilio.incoming("  STOP ", Ä="é 日本 &=+%", Empty="")

    assert read(twilio.signed(fields, twilio.KEYS[1]), twilio.PROVIDER.source)


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b"%ff=%fe", b"a" * 200_000, b"&".join([b"a=1"] * 1_000)])
def test_a_body_that_is_no_form_is_refused(body: bytes) -> None:
    with pytest.raises((Forged, Malformed)):
        read(request(body, {"X-Twilio-Signature": "x"}), twilio.PROVIDER.source)


@pytest.mark.parametrize(
    "word", ["STOP", "stopall", "Unsubscribe", "cancel", "END", "quit!", "Stop all", "revoke", "opt out"]
)
def test_stop_suppresses_the_messages_of_one_sender(word: str) -> None:
    expected = [("unsubscribed", "+41791234567 from +15555550100")]
    assert found(read(twilio.signed(twilio.incoming(word), twilio.KEYS[0]), twilio.PROVIDER.source)) == expected
    received = vonage.sms(vonage.incoming(word), vonage.KEYS[0], NOW)
    assert found(read(received, vonage.PROVIDER.source)) == [("unsubscribed", "+41791234567 from +41790000000")]


def test_stop_also_suppresses_the_messaging_service_of_the_number() -> None:
    events = read(
        twilio.signed(twilio.incoming("STOP", MessagingServiceSid="MG1"), twilio.KEYS[0]), twilio.PROVIDER.source
    )

    assert found(events) == [("unsubscribed", f"+41791234567 from {sender}") for sender in ("mg1", "+15555550100")]
    assert len({event.event_id for event in events}) == 2


@pytest.mark.parametrize("text", ["stop it", "don't stop", "STOPP", "", "yes", "end of story", "1", "start now"])
def test_any_other_incoming_message_is_ignored(text: str) -> None:
    assert read(twilio.signed(twilio.incoming(text), twilio.KEYS[0]), twilio.PROVIDER.source) == []


def found(events: list[Event]) -> list[tuple[str, str | None]]:
    return [(event.kind, event.recipient) for event in events]


def with_jwt(token: str, body: bytes = BODY) -> Received:
    return request(body, {"Authorization": f"Bearer {token}", "Content-Type": "application/json"})


@pytest.mark.parametrize("alg", ["none", "None", "HS384", "HS512", "RS256", "hs256", ""])
def test_a_jwt_with_another_algorithm_is_refused(alg: str) -> None:
    assert "HS256" in refused(with_jwt(vonage.jwt(BODY, vonage.KEYS[0], NOW, {"alg": alg})))


def test_a_jwt_without_its_signature_is_refused() -> None:
    head = vonage.jwt(BODY, vonage.KEYS[0], NOW).rpartition(".")[0]

    for token in (f"{head}.", head, f"{head}.AAAA", f"{head}.é", f".{head}", "..", "...", "", "a.b.c", f"{head}.x.y"):
        assert refused(with_jwt(token))


@pytest.mark.parametrize("digest", ["", "0" * 64, None, 7, hashlib.sha256(b"").hexdigest()])
def test_a_jwt_for_another_body_or_for_none_is_refused(digest: object) -> None:
    assert "body" in refused(with_jwt(vonage.jwt(BODY, vonage.KEYS[0], NOW, payload_hash=digest)))
    assert "body" in refused(with_jwt(vonage.jwt(BODY, vonage.KEYS[0], NOW), body=BODY + b" "))


@pytest.mark.parametrize("iat", [None, "", "now", -1, 1.5, True, [], 10**15])
def test_a_jwt_needs_the_time_when_it_was_made(iat: object) -> None:
    with pytest.raises((Forged, Malformed)):
        read(with_jwt(vonage.jwt(BODY, vonage.KEYS[0], NOW, iat=iat)), vonage.PROVIDER.source)


def test_fields_of_the_sms_api_may_come_as_json() -> None:
    fields = {**vonage.receipt("delivered"), "timestamp": str(int(NOW.timestamp()))}
    text = "".join(f"&{name}={fields[name]}" for name in sorted(fields))
    signature = hmac.new(vonage.KEYS[1].encode(), text.encode(), hashlib.sha256).hexdigest()
    received = request(json(fields | {"sig": signature}), {"Content-Type": "application/json"})

    assert found(read(received, vonage.PROVIDER.source)) == [("delivered", "+41791234567")]
    assert refused(request(json(fields), {"Content-Type": "application/json"}))


def test_a_signature_of_the_sms_api_does_not_verify_values_in_other_fields() -> None:
    honest = vonage.sms(vonage.incoming("a&b=c"), vonage.KEYS[0], NOW)

    assert read(honest, vonage.PROVIDER.source) == []
    forged = honest.body.replace(b"text=a%26b%3Dc", b"text=STOP")
    assert "signature" in refused(honest._replace(body=forged))


@pytest.mark.parametrize("digest", ["md5", "sha1", "sha512"])
def test_other_methods_of_the_sms_api_are_refused(digest: str) -> None:
    fields = {**vonage.receipt("delivered"), "timestamp": str(int(NOW.timestamp()))}
    text = "".join(f"&{name}={fields[name]}" for name in sorted(fields))
    fields["sig"] = hmac.new(vonage.KEYS[0].encode(), text.encode(), digest).hexdigest()

    assert "SHA-256" in refused(request(urlencode(fields).encode()))


def test_an_old_request_of_the_sms_api_is_refused() -> None:
    assert "older" in refused(vonage.sms(vonage.receipt("delivered"), vonage.KEYS[0], NOW - timedelta(hours=26)))
