"""Accounts of providers of text messages, from PROVIDER_<NAME>."""

from __future__ import annotations

import pytest

from actors.channels import registry
from actors.channels.sms.senders import own_sender
from runtime.redaction import secrets
from settings import SettingsError, read
from settings.http_account import HttpAccount
from settings.providers import Provider
from settings.sms_accounts import CONNECTIONS, FORMS

SERVICE = "MG" + "0a" * 16


def provider(url: str) -> Provider:
    [found] = read({"PROVIDER_MAIN": url}).named_providers
    return found


def account(url: str) -> HttpAccount:
    found = provider(url).account
    assert isinstance(found, HttpAccount)
    return found


def said(url: str) -> str:
    """The sentence with which this is refused."""
    with pytest.raises(SettingsError) as refused:
        read({"PROVIDER_MAIN": url})
    return str(refused.value)


@pytest.mark.parametrize(
    ("url", "secret", "key", "place"),
    [
        ("twilio://AC1:hush@", "hush", "AC1", "https://api.twilio.com/2010-04-01/Accounts/AC1"),
        ("twilio://SK2:hush@AC1", "hush", "SK2", "https://api.twilio.com/2010-04-01/Accounts/AC1"),
        (
            *("twilio://AC1:hush@?endpoint=http://127.0.0.1:9/", "hush", "AC1"),
            "http://127.0.0.1:9/2010-04-01/Accounts/AC1",
        ),
        ("vonage://abc:hu%2Fsh@", "hu/sh", "abc", "https://rest.nexmo.com"),
        ("sns://AK:hush@eu-west-1", "hush", "AK", "https://sns.eu-west-1.amazonaws.com"),
        ("sms+https://:hush@sms.example.com/v1/send", "hush", "", "https://sms.example.com/v1/send"),
        ("sms+https://:hush@sms.example.com:8443", "hush", "", "https://sms.example.com:8443"),
        ("sms+https://:hush@sms.example.com?endpoint=http://127.0.0.1:9/x", "hush", "", "http://127.0.0.1:9/x"),
    ],
)
def test_an_account_is_read_from_its_url(url: str, secret: str, key: str, place: str) -> None:
    found = account(url)

    assert (found.secret, found.key, found.url, found.variable) == (secret, key, place, "PROVIDER_MAIN")
    assert found.kind == url.partition(":")[0]


@pytest.mark.parametrize("kind", sorted(FORMS))
def test_the_example_url_of_an_error_message_is_accepted(kind: str) -> None:
    found = provider(FORMS[kind])

    assert (account(FORMS[kind]).kind, found.connections) == (kind, CONNECTIONS)
    assert own_sender(found) in {"+15555550100", "ACME", ""}


@pytest.mark.parametrize(
    "url",
    [
        *(
            "twilio://AC1@",
            "twilio://:hush@",
            "twilio://AC1:hush@AC1/x",
            "twilio://A%2F..:hush@",
            "twilio://AC1:hush@a.b",
        ),
        *("vonage://:hush@", "vonage://k:hush@host", "vonage://k:hush@/x", "vonage://k:h%0Dush@"),
        *("sns://AK:hush@", "sns://:hush@eu-west-1", "sns://AK:hush@evil.example.com", "sns://AK:hush@eu-west-1/x"),
        *("sms+https://:hush@", "sms+https://u:hush@a.example", "sms+https://sms.example.com", "sms+https://:hush@_x"),
        *("sms+https://:hush@10.0.0.1", "vonage://k:hush@?hush=1"),
        *("twilio://AC1:hush@?endpoint=http://example.com", "sns://AK:hush@eu-west-1?connections=hush"),
    ],
)
def test_a_malformed_account_is_refused_by_name_and_without_its_secret(url: str) -> None:
    sentence = said(url)

    assert sentence.startswith("PROVIDER_MAIN ")
    assert "hush" not in sentence.replace("option 'hush'", "").replace("connections=hush", "")
    assert "give" in sentence or "must look like" in sentence or "use" in sentence


def test_an_unknown_scheme_is_refused_with_all_known_ones() -> None:
    with pytest.raises(SettingsError) as refused:
        registry.check(read({"PROVIDER_MAIN": "sms+http://:hush@a.example"}))

    assert all(f"{kind}://" in str(refused.value) for kind in FORMS)


@pytest.mark.parametrize(
    ("url", "sender"),
    [
        *(
            ("twilio://AC1:hush@?from=+15555550100", "+15555550100"),
            ("vonage://k:hush@?from=%2B15555550100", "+15555550100"),
        ),
        *((f"twilio://AC1:hush@?from={SERVICE}", SERVICE), ("vonage://k:hush@?from=My Shop", "My Shop")),
        *(("sns://AK:hush@eu-west-1", ""), ("sms+https://:hush@a.example?from=12345", "12345")),
    ],
)
def test_the_option_from_sets_the_sender_of_a_provider(url: str, sender: str) -> None:
    assert own_sender(provider(url)) == sender


@pytest.mark.parametrize(
    ("url", "why"),
    [
        *(("twilio://AC1:hush@", "has no option from"), ("vonage://k:hush@", "has no option from")),
        *((f"vonage://k:hush@?from={SERVICE}", "must be"), ("twilio://AC1:hush@?from=Shop <a@b.example>", "must be")),
        ("sns://AK:hush@eu-west-1?from=0791234567", "must be"),
    ],
)
def test_a_sender_that_is_missing_or_malformed_is_refused_by_name(url: str, why: str) -> None:
    with pytest.raises(SettingsError) as refused:
        own_sender(provider(url))

    assert "PROVIDER_MAIN" in str(refused.value)
    assert why in str(refused.value)


def test_no_representation_shows_the_secrets() -> None:
    settings = read({"PROVIDER_A": "twilio://AC1:hush@", "PROVIDER_B": "vonage://KEYID:murmur@"})

    assert not {"hush", "murmur", "KEYID"} & set(repr(settings).replace("'", " ").split())
    assert "hush" not in repr(settings)
    assert {"hush", "murmur"} <= set(secrets(settings))
