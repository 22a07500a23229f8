"""Forged requests to the webhooks of providers are refused with a reason, and nothing is fetched for them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest

from actors.reports.providers import Forged, Malformed, Received, Unavailable
from settings.report_source import UNSIGNED, ReportSource
from tests.reports import mailgun, sendgrid, twilio, unsigned
from tests.reports.providers import PROVIDERS
from tests.reports.requests import NOW, Provider, json, read, with_secret

EACH = pytest.mark.parametrize("provider", PROVIDERS.values(), ids=list(PROVIDERS))
SIGNED = pytest.mark.parametrize(
    "provider", [one for one in PROVIDERS.values() if one.covers_body], ids=lambda p: p.kind
)
TIMED = pytest.mark.parametrize("provider", [one for one in PROVIDERS.values() if one.oldest], ids=lambda p: p.kind)
BARE = pytest.mark.parametrize("kind", UNSIGNED)


def genuine(provider: Provider, key: int = 0, at: datetime = NOW) -> Received:
    return provider.sign(provider.documented[0].payload, key, at)._replace(at=NOW)


def refused(provider: Provider, received: Received, source: ReportSource | None = None) -> str:
    with pytest.raises(Forged) as reason:
        provider.read(received, source)
    return str(reason.value)


@EACH
@pytest.mark.parametrize("key", [0, 1])
def test_both_keys_of_a_rotation_are_accepted(provider: Provider, key: int) -> None:
    assert provider.read(genuine(provider, key))


@EACH
def test_another_key_topic_or_secret_is_refused(provider: Provider) -> None:
    assert re.search("wrong|topic", refused(provider, genuine(provider), provider.stranger))


@EACH
def test_a_request_is_refused_if_no_key_is_known(provider: Provider) -> None:
    refused(provider, genuine(provider), ReportSource(provider.kind))


def lacking(received: Received, name: str) -> Received:
    return received._replace(headers={given: value for given, value in received.headers.items() if given != name})


@pytest.mark.parametrize(
    ("provider", "name"), [(one, name) for one in PROVIDERS.values() for name in one.headers], ids=lambda p: str(p)[:20]
)
def test_a_request_without_a_header_of_its_proof_is_refused(provider: Provider, name: str) -> None:
    received = genuine(provider)
    assert name in received.headers
    for value in (None, "", " ", "x", "\udcff", "ä" * 10, "Basic", "Basic !", "v1,", "t=1"):
        headers = dict(lacking(received, name).headers) | ({name: value} if value is not None else {})
        assert refused(provider, received._replace(headers=headers))


@EACH
def test_header_names_match_in_any_case(provider: Provider) -> None:
    received = genuine(provider)
    for change in (str.lower, str.upper):
        headers = {change(name): value for name, value in received.headers.items()}
        assert provider.read(received._replace(headers=headers)) == provider.read(received)


@SIGNED
def test_a_changed_byte_is_refused(provider: Provider) -> None:
    received = genuine(provider)
    for at in range(0, len(received.body), 7):
        body = bytearray(received.body)
        body[at] ^= 1
        with pytest.raises((Forged, Malformed, Unavailable)):
            provider.read(received._replace(body=bytes(body)))


@SIGNED
def test_one_event_is_not_accepted_under_the_signature_of_another(provider: Provider) -> None:
    signed, other = (provider.sign(one.payload, 0, NOW) for one in provider.documented[:2])
    if signed.headers != other.headers:  # Otherwise the signature is in the body.
        refused(provider, signed._replace(body=other.body))


@TIMED
def test_an_old_request_is_refused_and_a_recent_repetition_is_accepted(provider: Provider) -> None:
    assert provider.oldest
    late = provider.oldest - timedelta(seconds=5)
    assert provider.read(genuine(provider, at=NOW - late))
    assert "older than" in refused(provider, genuine(provider, at=NOW - provider.oldest - timedelta(seconds=5)))


@TIMED
def test_a_request_from_the_future_is_refused(provider: Provider) -> None:
    assert provider.read(genuine(provider, at=NOW + timedelta(minutes=4)))
    assert "future" in refused(provider, genuine(provider, at=NOW + timedelta(minutes=6)))


def test_reserialized_json_is_refused() -> None:
    received = sendgrid.signed(b'[ {"event":"delivered"} ]', 0, NOW)

    assert read(received, sendgrid.PROVIDER.source)
    refused(sendgrid.PROVIDER, received._replace(body=b'[{"event":"delivered"}]'))


def test_a_timestamp_is_part_of_what_sendgrid_signs() -> None:
    received = genuine(sendgrid.PROVIDER)
    name = "X-Twilio-Email-Event-Webhook-Timestamp"
    later = str(int(received.headers[name]) + 1)

    assert "signature" in refused(sendgrid.PROVIDER, received._replace(headers={**received.headers, name: later}))


@pytest.mark.parametrize("field", ["timestamp", "token", "signature"])
@pytest.mark.parametrize("value", [None, "", "1", "ä", 7])
def test_mailgun_needs_each_field_of_its_signature(field: str, value: str | int | None) -> None:
    received = genuine(mailgun.PROVIDER)
    wrong = received.body.replace(
        f'"{field}":"'.encode(), f'"{field}":{json(value).decode()},"old{field}":"'.encode(), 1
    )

    refused(mailgun.PROVIDER, received._replace(body=wrong))


def test_mailgun_needs_a_token_even_if_an_empty_one_is_signed() -> None:
    assert "missing" in refused(mailgun.PROVIDER, mailgun.signed(mailgun.event("delivered"), 0, NOW, ""))


def test_mailgun_uses_the_signed_token_as_the_id_so_that_a_token_serves_once() -> None:
    events = [mailgun.PROVIDER.read(mailgun.sign(mailgun.event(kind), 0, NOW)) for kind in ("delivered", "complained")]

    assert len({event.event_id for [event] in events}) == 1


def secret_in_url(received: Received, secret: str) -> Received:
    return with_secret(lacking(received, "Authorization"), secret)


@BARE
@pytest.mark.parametrize("secret", unsigned.SECRETS)
def test_a_secret_may_be_in_the_query_or_be_a_bearer_token(kind: str, secret: str) -> None:
    provider = PROVIDERS[kind]
    received = genuine(provider)

    assert provider.read(secret_in_url(received, secret))
    assert provider.read(received._replace(headers={"Authorization": f"Bearer {secret}"}))


SECRET = unsigned.SECRETS[0]
WRONG = [
    "",
    " ",
    "x",
    SECRET[:-1],
    f"{SECRET}x",
    SECRET.upper(),
    ",".join(unsigned.SECRETS),
    "\udcff",
    "ä" * 32,
    "\0" * 32,
]


@BARE
@pytest.mark.parametrize("secret", WRONG)
def test_a_wrong_secret_is_refused(kind: str, secret: str) -> None:
    provider = PROVIDERS[kind]

    assert "secret" in refused(provider, secret_in_url(genuine(provider), secret))
    assert "secret" in refused(provider, genuine(provider)._replace(headers={"Authorization": f"Bearer {secret}"}))


@pytest.mark.parametrize("kind", sorted(set(PROVIDERS) - set(UNSIGNED)))
def test_a_provider_that_signs_may_be_asked_for_a_secret_too(kind: str) -> None:
    provider = PROVIDERS[kind]
    asking = ReportSource(kind, provider.source.keys, unsigned.SECRETS)

    def sent(secret: str) -> Received:
        if kind == "twilio":  # It signs the address.
            url = with_secret(genuine(provider), secret).url
            return twilio.signed(twilio.status("delivered"), twilio.KEYS[0], url)
        return with_secret(genuine(provider), secret)

    assert refused(provider, genuine(provider), asking).startswith("the secret is ")
    assert refused(provider, sent("x" * 32), asking) == "the secret is wrong"
    assert provider.read(sent(unsigned.SECRETS[1]), asking)
    stranger = ReportSource(kind, provider.stranger.keys, unsigned.SECRETS)
    assert re.search("signature|topic", refused(provider, sent(unsigned.SECRETS[1]), stranger))


@pytest.mark.parametrize(
    "url",
    [
        "https://notify.example.com/api/reports/other?notify_token=tok-1",
        "https://notify.example.com/api/reports/main?notify_token=tok-2",
        "https://notify.example.com/api/reports/main",
        "http://notify.example.com/api/reports/main?notify_token=tok-1",
        "https://evil.example.com/api/reports/main?notify_token=tok-1",
    ],
)
def test_the_address_is_part_of_what_twilio_signs(url: str) -> None:
    assert "PUBLIC_URL" in refused(twilio.PROVIDER, genuine(twilio.PROVIDER)._replace(url=url))


def test_no_reason_contains_a_secret_or_the_request() -> None:
    for provider in PROVIDERS.values():
        reason = refused(provider, genuine(provider), provider.stranger)
        for word in (*provider.source.keys, *provider.source.secrets, *provider.stranger.keys, "ann@example.com"):
            assert word not in reason
