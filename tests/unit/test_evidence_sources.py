"""How it can become known whether a provider has taken a notification."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from actors.channels.email.identity import Identities
from actors.channels.email.mail_senders import MailSenders
from actors.channels.email.providers import make
from actors.channels.evidence_sources import NONE, EvidenceSources, sources
from actors.channels.sandbox.channel import Sandbox
from settings import providers
from tests import loops
from tests.environment import configured
from tests.integration.rows import attempt
from tests.providers.apis import URLS

IDENTITIES = Identities((b"k" * 32,), datetime(2024, 1, 1, tzinfo=UTC))
SMTP = "smtp://mail.example.com"


def found(url: str, *, marked: bool = True, domain: str = "") -> EvidenceSources:
    async def made() -> EvidenceSources:
        with configured(mail_from="noreply@example.com") as settings:
            identities = IDENTITIES._replace(domain=domain) if marked else None
            return sources(make(providers.parse("PROVIDER_TEST", url), settings, identities=identities))

    return loops.run(made())


@pytest.mark.parametrize(
    ("kind", "seconds", "looks_up"),
    [
        *(("postmark", 0, True), ("mailgun", 0, True), ("resend", 82_800, False), ("brevo", 600, False)),
        *(("sendgrid", 0, False), ("ses", 0, False)),
    ],
)
def test_a_provider_can_be_asked_or_recognises_a_repetition(kind: str, seconds: float, *, looks_up: bool) -> None:
    one = found(URLS[kind])
    assert (one.reports, one.replay_within, one.look_up is not None) == (False, seconds, looks_up)


def test_a_provider_that_never_gets_the_token_cannot_be_asked() -> None:
    assert found(URLS["postmark"], marked=False) == NONE


def test_a_mail_server_has_evidence_if_reports_can_come_back() -> None:
    assert found(SMTP) == NONE
    assert found(SMTP, domain="bounces.example.com").reports
    assert not found(f"{SMTP}?return_path=off", domain="bounces.example.com").reports
    assert found(f"{SMTP}?reports={'k' * 20}&reports_by=postmark").reports


def test_the_sandbox_has_none() -> None:
    assert sources(Sandbox()) is NONE


@pytest.mark.parametrize(
    ("one", "longest", "wait"),
    [
        (NONE, 900, None),
        (EvidenceSources(reports=True), 900, 900),
        (EvidenceSources(reports=True), 0, None),
        (EvidenceSources(replay_within=600), 900, 600),
        (EvidenceSources(replay_within=82_800), 900, 900),
    ],
)
def test_a_wait_is_no_longer_than_a_repetition_is_recognised(
    one: EvidenceSources, longest: float, wait: float | None
) -> None:
    assert one.wait(longest) == wait


@pytest.mark.parametrize(
    ("outcome", "code", "text", "refused"),
    [
        ("refused", "5.7.26", "550 5.7.26 unauthenticated mail is not accepted due to its DMARC policy", True),
        ("refused", "5.7.515", "550 5.7.515 Access denied, sending domain does not meet the required level", True),
        ("refused", "5.7.1", "550 5.7.1 rejected: SPF check failed", True),
        ("provider-down", "5.7.1", "550 5.7.1 sender domain has a bad reputation", True),
        ("refused", None, "422 554 5.7.23 SPF validation failed", True),
        ("provider-down", "5.7.501", "550 5.7.501 Access denied, banned sender", False),
        ("refused", "5.7.1", "550 5.7.1 content rejected", False),
        ("refused", "5.1.1", "550 5.1.1 unknown sender or user", False),
        ("deferred", "4.7.26", "421 4.7.26 unauthenticated mail, DMARC", False),
        ("sent", None, "250 ok", False),
    ],
)
def test_only_a_final_refusal_because_of_our_domain_is_one(
    outcome: str, code: str | None, text: str, *, refused: bool
) -> None:
    made = attempt(outcome, text)._replace(enhanced_code=code, reply_code=int(text[:3]))
    assert MailSenders("example.com").refused(made) == refused


@pytest.mark.parametrize(
    ("given", "domain"),
    [
        *((None, "own.example"), ("a@Shop.Example", "shop.example")),
        *(('"A, B" <a@bücher.example>', "xn--bcher-kva.example"), ("Shop <a@shop.example>", "shop.example")),
    ],
)
def test_the_domain_of_a_sender_is_that_of_its_address(given: str | None, domain: str) -> None:
    assert MailSenders("Own.Example").domain_of(given) == domain
