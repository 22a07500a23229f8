"""A real Postfix that refuses: sizes, restrictions, soft bounces, greeting delays, and too many errors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actors.channels import Deferred, ProviderDown, Refused, Undelivered
from tests.eventually import eventually
from tests.integration.mailing import channel, notification
from tests.servers.stock_postfix import UNKNOWN, StockPostfix

LARGE = "x" * 70 + "\n"


@pytest.fixture
def postfix(stock_postfix: StockPostfix) -> Iterator[StockPostfix]:
    """The Postfix of this run, with its own settings again afterwards."""
    main = stock_postfix.directory / "etc" / "main.cf"
    before = main.read_text()
    yield stock_postfix
    main.write_text(before)
    stock_postfix.reload()


def refusal(postfix: StockPostfix, **values: str) -> Undelivered:
    """Return the refusal of a mail, once Postfix uses its new settings."""
    found: list[Undelivered] = []

    def refused() -> bool:
        email = channel(postfix.url)
        try:
            email.send(notification(**values))
        except Undelivered as error:
            found.append(error)
        email.hang_up()
        return bool(found)

    eventually(refused, within=30, saying=lambda: postfix.log)
    return found[0]


def test_a_mail_above_the_announced_size_is_refused_before_it_is_sent(postfix: StockPostfix) -> None:
    postfix.set("message_size_limit = 5000")

    refused = refusal(postfix, message=LARGE * 100)

    assert (type(refused), refused.receipt.phase) == (Refused, "mail")
    assert "the mail server accepts at most 5000" in str(refused)


def test_a_mail_above_an_unannounced_size_limit_is_refused_after_its_content(postfix: StockPostfix) -> None:
    postfix.set("smtpd_discard_ehlo_keywords = size\nmessage_size_limit = 5000")

    refused = refusal(postfix, message=LARGE * 100)

    assert (type(refused), refused.receipt.phase, refused.receipt.reply_code) == (Refused, "content", 552)


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ("mynetworks = 192.0.2.0/24\nvirtual_mailbox_domains = other.example", 454),
        ("smtpd_recipient_restrictions = check_client_access static:{450 4.7.1 Greylisted}", 450),
        ("smtpd_recipient_restrictions = defer", 450),
    ],
)
def test_a_recipient_that_is_refused_for_now_is_deferred(postfix: StockPostfix, setting: str, code: int) -> None:
    postfix.set(setting)

    refused = refusal(postfix)

    assert (type(refused), refused.receipt.phase, refused.receipt.reply_code) == (Deferred, "rcpt", code)


def test_a_refusal_at_the_greeting_means_that_the_provider_is_down(postfix: StockPostfix) -> None:
    postfix.set("smtpd_delay_reject = no\nsmtpd_client_restrictions = reject")

    assert type(refusal(postfix)) is ProviderDown


def test_many_errors_on_a_connection_lose_no_later_mail(postfix: StockPostfix) -> None:
    postfix.set("smtpd_soft_error_limit = 1\nsmtpd_hard_error_limit = 2\nsmtpd_error_sleep_time = 1s")
    email = channel(postfix.url)

    for _ in range(4):
        with pytest.raises(Undelivered) as refused:
            email.send(notification(recipient=UNKNOWN))
        assert refused.value.outcome in ("refused", "provider-down")
    email.send(notification(recipient="errors@example.com"))
    email.hang_up()

    [_] = eventually(lambda: postfix.mails("errors@example.com"), saying=lambda: postfix.log)
