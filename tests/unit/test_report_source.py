"""Options of a provider's URL for its webhooks: keys, topics and secrets, refused with a sentence that shows none."""

from __future__ import annotations

import pytest

from runtime.redaction import Scrubber, secrets
from settings import SettingsError, read
from settings.report_source import ReportSource
from tests.reports import resend, sendgrid
from tests.reports.sns import OTHER_TOPIC, TOPIC

SECRET, OLDER = "4c1f0b9a7d3e5f60aa11bb22cc33dd44", "older-secret-older-secret"
MAILGUN = "mailgun://:hush@api.mailgun.net/example.com"
SES = "ses://KEYID:hush@eu-west-1"


def source(url: str) -> ReportSource | None:
    [provider] = read({"PROVIDER_MAIN": url}).named_providers
    return provider.reports


def said(url: str) -> str:
    with pytest.raises(SettingsError) as refused:
        read({"PROVIDER_MAIN": url})
    return str(refused.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postmark://:hush@", None),
        (f"postmark://:hush@?reports={SECRET}", ReportSource("postmark", secrets=(SECRET,))),
        (f"brevo://:hush@?reports={SECRET},{OLDER}", ReportSource("brevo", secrets=(SECRET, OLDER))),
        (f"{SES}?reports={TOPIC},{OTHER_TOPIC}", ReportSource("ses", (TOPIC, OTHER_TOPIC))),
        (f"{MAILGUN}?reports=key-0123456789&rate=5", ReportSource("mailgun", ("key-0123456789",))),
        (
            f"{MAILGUN}?reports=key-0123456789&reports_secret={SECRET},{OLDER}",
            ReportSource("mailgun", ("key-0123456789",), (SECRET, OLDER)),
        ),
        (f"resend://:hush@?reports={resend.KEYS[0]}", ReportSource("resend", (resend.KEYS[0],))),
        (f"smtp://h?reports={SECRET}&reports_by=mailjet", ReportSource("mailjet", secrets=(SECRET,))),
        (f"smtps://h?reports={SECRET}&reports_by=sparkpost", ReportSource("sparkpost", secrets=(SECRET,))),
        (f"smtp://h?reports={TOPIC}&reports_by=ses&starttls=off", ReportSource("ses", (TOPIC,))),
    ],
)
def test_webhooks_are_read_from_the_options_of_a_url(url: str, expected: ReportSource | None) -> None:
    assert source(url) == expected


def test_a_key_may_be_given_as_the_provider_shows_it() -> None:
    for key in map(sendgrid.public, sendgrid.KEYS):  # in base64, with +, / and =
        assert source(f"sendgrid://:hush@?reports={key}") == ReportSource("sendgrid", (key,))


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postmark://:hush@?reports=short", "has a malformed reports: give a secret of 16 characters or more"),
        (f"postmark://:hush@?reports={SECRET},", "has a malformed reports: give a secret"),
        (f"postmark://:hush@?reports={SECRET}%0a", "has a malformed reports: give a secret"),
        (f"postmark://:hush@?reports={SECRET}&reports={OLDER}", "has the option 'reports' twice"),
        (f"postmark://:hush@?reports_secret={SECRET}", "has reports_secret without reports"),
        (
            f"postmark://:hush@?reports={SECRET}&reports_secret={OLDER}",
            "has reports_secret, but postmark does not sign",
        ),
        ("smtp://h?reports_by=ses", "has reports_by without reports"),
        (f"smtp://h?reports={SECRET}", "has reports without knowing whose: give reports_by, one of ses, sendgrid"),
        (f"smtp://h?reports={SECRET}&reports_by=gmail", "has reports without knowing whose: give reports_by, one of"),
        (f"{SES}?reports={SECRET}", "has a malformed reports: for ses give the topic, as in arn:aws:sns"),
        (f"{SES}?reports=*", "has a malformed reports: for ses give the topic"),
        (f"{SES}?reports={TOPIC},", "has a malformed reports: for ses give the topic"),
        (f"sendgrid://:hush@?reports={SECRET}", "has a malformed reports: for sendgrid give the verification key"),
        (
            f"sendgrid://:hush@?reports=MFkw{'A' * 120}",
            "has a malformed reports: for sendgrid give the verification key",
        ),
        (f"resend://:hush@?reports={SECRET}", "has a malformed reports: for resend give the signing secret"),
        ("resend://:hush@?reports=whsec_AAAA", "has a malformed reports: for resend give the signing secret"),
        (f"{MAILGUN}?reports=short", "has a malformed reports: for mailgun give the key with which it signs"),
        (f"{MAILGUN}?reports={SECRET}&reports_secret=short", "has a malformed reports_secret: give a secret of 16"),
    ],
)
def test_malformed_webhooks_are_refused_by_name_and_without_their_secrets(url: str, sentence: str) -> None:
    assert said(url).startswith(f"PROVIDER_MAIN {sentence}")
    assert not any(word in said(url) for word in (SECRET, OLDER, "hush", "short"))


def test_no_representation_and_no_log_shows_the_secrets_of_webhooks() -> None:
    environ = {
        "PROVIDER_A": f"postmark://:hush@?reports={SECRET},{OLDER}",
        "PROVIDER_B": f"{MAILGUN}?reports=key+0123456789&reports_secret=third-secret-third",
        "SMTP_URL": "smtp://h?reports=fourth+secret-fourth,fifth-secret-fifth&reports_by=brevo",
    }
    settings = read(environ)
    line = f"{SECRET} {OLDER} key+0123456789 third-secret-third fourth+secret-fourth fifth-secret-fifth."

    assert not any(word in repr(settings.named_providers) for word in line.split())
    assert Scrubber(secrets(settings)).line(line.encode()).decode() == "*** *** *** *** *** ***."
