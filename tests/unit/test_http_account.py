"""Accounts of mail providers with an HTTP API, from PROVIDER_<NAME>."""

from __future__ import annotations

import pytest

from actors.channels import registry
from runtime.redaction import secrets
from settings import SettingsError, examined, read
from settings.http_account import FORMS, HttpAccount


def account(url: str) -> HttpAccount:
    [provider] = read({"PROVIDER_MAIN": url}).named_providers
    assert isinstance(provider.account, HttpAccount)
    return provider.account


def said(url: str) -> str:
    """The sentence with which this is refused."""
    with pytest.raises(SettingsError) as refused:
        read({"PROVIDER_MAIN": url})
    return str(refused.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "ses://AKIDEXAMPLE:hush%2Fhush+1@eu-west-1",
            HttpAccount("ses", "hush/hush+1", "https://email.eu-west-1.amazonaws.com", "AKIDEXAMPLE", "eu-west-1"),
        ),
        ("postmark://:hush@", HttpAccount("postmark", "hush", "https://api.postmarkapp.com")),
        ("sendgrid://:hush@", HttpAccount("sendgrid", "hush", "https://api.sendgrid.com")),
        ("sendgrid://:hush@api.eu.sendgrid.com", HttpAccount("sendgrid", "hush", "https://api.eu.sendgrid.com")),
        (
            "mailgun://:hush@api.eu.mailgun.net/example.com",
            HttpAccount("mailgun", "hush", "https://api.eu.mailgun.net", domain="example.com"),
        ),
        ("resend://:hush@", HttpAccount("resend", "hush", "https://api.resend.com")),
        ("brevo://:hush@", HttpAccount("brevo", "hush", "https://api.brevo.com")),
        ("brevo://:hush@?endpoint=http://127.0.0.1:8080/", HttpAccount("brevo", "hush", "http://127.0.0.1:8080")),
        ("brevo://:hush@?endpoint=http://[::1]:8080", HttpAccount("brevo", "hush", "http://[::1]:8080")),
        (
            "brevo://:hush@?endpoint=https://proxy.example.com/b",
            HttpAccount("brevo", "hush", "https://proxy.example.com/b"),
        ),
    ],
)
def test_an_account_is_read_from_its_url(url: str, expected: HttpAccount) -> None:
    found = account(url)

    assert (found.kind, found.secret, found.url, found.key) == (
        *(expected.kind, expected.secret, expected.url, expected.key),
    )
    assert (found.region, found.domain, found.variable) == (expected.region, expected.domain, "PROVIDER_MAIN")


@pytest.mark.parametrize("kind", sorted(FORMS))
def test_the_example_url_of_an_error_message_is_accepted(kind: str) -> None:
    assert account(FORMS[kind]).kind == kind


@pytest.mark.parametrize(
    "url",
    [
        *(
            "postmark://hush@",
            "postmark://hush:@",
            "postmark://u:hush@",
            "postmark://:hush@/path",
            "postmark://:hush@_x",
        ),
        *("ses://:hush@eu-west-1", "ses://KEY@eu-west-1", "ses://KEY:hu/sh@eu-west-1", "ses://KEY:hush@eu-west-1/x"),
        *("ses://KEY:hush@", "ses://KEY:hush@europe", "ses://KEY:hush@evil.example.com", "ses://KEY:hush@eu-west-1:1"),
        *("mailgun://:hush@api.mailgun.net", "mailgun://:hush@/example.com", "mailgun://:hush@api.mailgun.net/a/b"),
        *("mailgun://hush@api.mailgun.net/example.com", "mailgun://:hush@api.mailgun.net/%2e%2e"),
        *("brevo://:hush%0d%0aX:1@", "brevo://:h%C3%BCsh@", "brevo://:hu sh@", "brevo://", "brevo://:hush@?hush=1"),
        *("brevo://:hush@?endpoint=http://example.com", "brevo://:hush@?endpoint=ftp://127.0.0.1"),
        *("brevo://:hush@?endpoint=http://u:hush@127.0.0.1", "brevo://:hush@?endpoint=http://127.0.0.1:99999"),
        *("brevo://:hush@?endpoint=", "brevo://:hush@?endpoint=http://[::1", "brevo://:hush@?starttls=off"),
    ],
)
def test_a_malformed_account_is_refused_by_name_and_without_its_secret(url: str) -> None:
    sentence = said(url)

    assert sentence.startswith("PROVIDER_MAIN ")
    assert "hush" not in sentence.replace("option 'hush'", "")
    assert "give" in sentence or "must look like" in sentence or "use" in sentence


def test_an_unknown_scheme_is_refused_with_all_known_ones() -> None:
    with pytest.raises(SettingsError) as raised:
        registry.check(read({"PROVIDER_A": "sendmail://:hush@"}))
    sentence = str(raised.value)

    assert sentence.startswith("PROVIDER_A begins with sendmail://, which no channel uses")
    assert "hush" not in sentence
    assert all(f"{kind}://" in sentence for kind in (*FORMS, "smtp", "smtps"))


def test_smtp_url_names_a_mail_server_only() -> None:
    _, wrong = examined({"SMTP_URL": "postmark://:hush@"})

    assert wrong[0] == "SMTP_URL must look like smtp://user:pass@host:587 or smtps://user:pass@host:465"


def test_no_representation_and_no_log_shows_the_secrets() -> None:
    settings = read({"PROVIDER_A": "ses://KEYID:hush@eu-west-1", "PROVIDER_B": "smtp://u:murmur@mail.example.com"})

    assert "hush" not in repr(settings)
    assert "KEYID" not in repr(settings)
    assert {"hush", "murmur"} <= set(secrets(settings))
