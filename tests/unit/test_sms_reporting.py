"""The marks of text messages by which reports about them are recognised."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from actors.channels.email.identity import Identities
from actors.channels.sms.provider import APIS
from actors.channels.sms.reporting import Reporting
from actors.channels.sms.text import Text
from actors.reports import tokens
from settings import providers
from settings.http_account import HttpAccount
from settings.public import PublicSettings
from tests.providers.sms import HELLO, URLS

KEYS = (b"k" * 32, b"own" * 12)
IDENTITIES = Identities(KEYS, datetime(2024, 1, 1, tzinfo=UTC))
PUBLIC = PublicSettings(url="https://notify.example.com/api-v1/", unsubscribe_secret="s" * 32)


def marked(account: str, public: PublicSettings = PUBLIC, identities: Identities | None = IDENTITIES) -> Text:
    """Return notification 5 as it goes to PROVIDER_TEXTS with this URL."""
    reporting = Reporting.of(providers.parse("PROVIDER_TEXTS", account), public, identities)
    return reporting.marked(HELLO, 5) if reporting else HELLO


def form(kind: str, text: Text) -> dict[str, str]:
    account = providers.parse("PROVIDER_TEXTS", URLS[kind]).account
    assert isinstance(account, HttpAccount)
    return dict(parse_qsl(APIS[kind].request(text, account).body.decode(), strict_parsing=True))


def test_twilio_gets_a_status_callback_url_with_the_token_of_the_notification() -> None:
    sent = form("twilio", marked(f"{URLS['twilio']}&reports=auth-token"))

    place, _, query = sent["StatusCallback"].partition("?")
    assert place == "https://notify.example.com/api-v1/api/reports/texts"
    assert tokens.notification_of(parse_qs(query)["notify_token"][0], KEYS) == 5


def test_the_status_callback_url_contains_the_required_secret() -> None:
    text = marked(f"{URLS['twilio']}&reports=auth-token&reports_secret=a-secret-of-16-or-more,old-secret-of-16-or-more")

    assert parse_qs(urlsplit(text.report_url).query)["secret"] == ["a-secret-of-16-or-more"]


@pytest.mark.parametrize(
    ("account", "public"),
    [
        (URLS["twilio"], PUBLIC),
        (f"{URLS['twilio']}&reports=auth-token", PublicSettings()),
        (f"{URLS['twilio']}&reports=auth-token", PublicSettings(url="http://127.0.0.1:8000")),
        (f"{URLS['twilio']}&reports=auth-token", PublicSettings(url="https://localhost")),
    ],
    ids=["without reports", "without PUBLIC_URL", "of this machine", "by name of this machine"],
)
def test_twilio_gets_no_status_callback_url_that_is_unreachable_or_unused(account: str, public: PublicSettings) -> None:
    assert "StatusCallback" not in form("twilio", marked(account, public))


def test_vonage_gets_a_token_that_comes_back_in_receipts() -> None:
    sent = form("vonage", marked(URLS["vonage"]))

    assert tokens.notification_of(sent["client-ref"], KEYS) == 5
    assert len(sent["client-ref"]) <= 40  # as its documentation says
    assert form("vonage", marked(URLS["vonage"], identities=None))["client-ref"] == HELLO.reference


def test_the_marks_are_the_same_in_every_attempt_and_differ_for_each_notification() -> None:
    reporting = Reporting.of(providers.parse("PROVIDER_TEXTS", URLS["vonage"]), PUBLIC, IDENTITIES)
    assert reporting is not None
    assert reporting.marked(HELLO, 5) == reporting.marked(HELLO, 5)
    assert reporting.marked(HELLO, 5).token != reporting.marked(HELLO, 6).token
