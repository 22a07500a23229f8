"""Several recipients in one transaction, other senders, SMTPUTF8, SIZE: all get a mail or none does."""

from __future__ import annotations

from typing import Any

import pytest

from actors.channels import Deferred, ProviderDown, Refused, Undelivered
from tests.integration.mailing import channel, failure, notification
from tests.smtp import Drop, Reply, SmtpServer

COPIES = {"cc": ["B <b@example.com>"], "bcc": ["c@example.com"]}
ALL = ("a@example.com", "b@example.com", "c@example.com")
OTHER = {"from": "Help <help@other.example>"}


def test_all_recipients_are_in_one_transaction(smtp_server: SmtpServer) -> None:
    email = channel(smtp_server.url)
    email.send(notification(mail=COPIES))
    email.hang_up()
    [mail] = smtp_server.mails
    assert (mail.sender, mail.recipients) == ("noreply@example.com", ALL)
    assert (mail.parsed["To"], mail.parsed["Cc"], mail.parsed["Bcc"]) == ("a@example.com", "B <b@example.com>", None)
    assert b"c@example.com" not in mail.raw


@pytest.mark.parametrize(
    ("code", "error"), [(550, Refused), (553, Refused), (450, Deferred), (452, Deferred), (421, ProviderDown)]
)
@pytest.mark.parametrize("unlucky", ALL)
def test_a_refused_recipient_ends_the_mail_for_all_recipients(
    smtp_server: SmtpServer, code: int, error: type[Undelivered], unlucky: str
) -> None:
    smtp_server.on("rcpt", Reply(code, "5.1.1 not this one"), to=unlucky)
    ended = failure(channel(smtp_server.url), mail=COPIES)
    receipt = ended.receipt
    assert (type(ended), receipt.phase, receipt.reply_code, receipt.enhanced_code) == (error, "rcpt", code, "5.1.1")
    # What is the provider's own fault is told to the breaker and its log, where no address belongs.
    named = f"{unlucky}: " if error is not ProviderDown else ""
    assert receipt.text == f"{named}{code} 5.1.1 not this one"
    assert smtp_server.mails == []


def test_after_a_refused_copy_the_connection_is_reset(smtp_server: SmtpServer) -> None:
    smtp_server.on("rcpt", Reply(550, "5.1.1 nobody"), to="b@example.com")
    email = channel(smtp_server.url)
    with pytest.raises(Refused):
        email.send(notification(mail=COPIES))
    email.send(notification(id=6, recipient="d@example.com"))
    email.hang_up()
    assert [mail.recipients for mail in smtp_server.mails] == [("d@example.com",)]
    assert smtp_server.connections == 1


def test_a_connection_lost_during_rcpt_leaves_no_doubt(smtp_server: SmtpServer) -> None:
    smtp_server.on("rcpt", Drop(), to="c@example.com")
    assert type(failure(channel(smtp_server.url), mail=COPIES)) is Deferred


def test_recipients_that_take_too_long_together_are_tried_again(smtp_server: SmtpServer) -> None:
    smtp_server.on("rcpt", Reply(250, "slowly", delay=0.5), times=None)
    many = {"cc": [f"{n}@example.com" for n in range(40)]}
    late = failure(channel(smtp_server.url, smtp_timeout=2, smtp_data_timeout=2), mail=many)
    assert (type(late), late.receipt.phase) == (Deferred, "rcpt")
    assert str(late) == "the answers to all recipients took too long"


def test_a_sender_chosen_by_the_client_is_the_envelope_sender(smtp_server: SmtpServer) -> None:
    email = channel(smtp_server.url)
    email.send(notification(mail=OTHER))
    email.hang_up()
    [mail] = smtp_server.mails
    assert (mail.sender, mail.parsed["From"]) == ("help@other.example", "Help <help@other.example>")
    assert mail.message_id.endswith("@other.example>")


@pytest.mark.parametrize(
    ("mail", "code", "error"),
    [
        (OTHER, 550, Refused),
        (OTHER, 553, Refused),
        (OTHER, 451, Deferred),
        (OTHER, 421, ProviderDown),
        (OTHER, 530, ProviderDown),
        ({"from": "Shop again <noreply@example.com>"}, 550, ProviderDown),
        (None, 550, ProviderDown),
    ],
)
def test_a_clients_sender_that_is_refused_does_not_count_as_an_outage(
    smtp_server: SmtpServer, mail: Any, code: int, error: type[Undelivered]
) -> None:
    smtp_server.on("mail", Reply(code, "5.7.1 not you"))
    refused = failure(channel(smtp_server.url), mail=mail)
    assert (type(refused), refused.receipt.phase, refused.receipt.reply_code) == (error, "mail", code)


@pytest.mark.parametrize(
    ("mail", "told"),
    [
        ({"cc": ["b@example.com", "jösé@example.com"]}, "jösé@example.com"),
        ({"bcc": ["Jo <jösé@example.com>"]}, "jösé@example.com"),
        ({"from": "jösé@example.com"}, "jösé@example.com"),
        ({"replyTo": "jösé@example.com"}, "an address"),
    ],
)
def test_an_address_that_needs_smtputf8_is_reported_if_the_server_lacks_it(mail: Any, told: str) -> None:
    with SmtpServer(extensions=("8BITMIME",)) as server:
        refused = failure(channel(server.url), mail=mail)
        assert type(refused) is Refused
        assert str(refused) == f"{told} needs SMTPUTF8, which the mail server does not offer"


@pytest.mark.parametrize(
    "mail", [{"cc": ["jösé@example.com"]}, {"bcc": ["jösé@x.example"]}, {"replyTo": "é@x.example"}]
)
def test_an_address_that_needs_smtputf8_is_sent_if_the_server_offers_it(smtp_server: SmtpServer, mail: Any) -> None:
    email = channel(smtp_server.url)
    email.send(notification(mail=mail))
    email.hang_up()
    [taken] = smtp_server.mails
    assert "SMTPUTF8" in taken.options


def test_names_subjects_and_headers_in_any_script_need_no_smtputf8() -> None:
    given = {
        "recipientName": "Jösé",
        "cc": ["Zoë <b@münchen.example>"],
        "headers": {"X-A": "ü"},
        "from": "É <e@x.example>",
    }
    with SmtpServer(extensions=()) as server:
        email = channel(server.url)
        email.send(notification(mail=given, subject="Grüße"))
        email.hang_up()
        assert server.mails[0].recipients == ("a@example.com", "b@xn--mnchen-3ya.example")


@pytest.mark.parametrize(
    ("size", "taken"), [("SIZE 100", False), ("SIZE 1000000", True), ("SIZE 0", True), ("SIZE", True), ("SIZE x", True)]
)
def test_a_mail_above_the_announced_size_is_refused_before_it_is_sent(size: str, taken: bool) -> None:
    with SmtpServer(extensions=(size,)) as server:
        email = channel(server.url)
        if taken:
            email.send(notification())
            email.hang_up()
        else:
            assert str(failure(email)).endswith("octets, but the mail server accepts at most 100")
        assert len(server.mails) == taken


@pytest.mark.parametrize(("chosen", "error"), [(None, ProviderDown), ("jörg@example.com", Refused)])
def test_a_sender_that_needs_smtputf8_is_a_fault_of_the_client_or_of_the_settings(
    chosen: str | None, error: type[Undelivered]
) -> None:
    mail = {"from": chosen} if chosen else None
    with SmtpServer(extensions=()) as server:
        email = channel(server.url, mail_from="noreply@example.com" if chosen else "jörg@example.com")
        failed = failure(email, mail=mail)

    assert (type(failed), failed.receipt.phase) == (error, "mail")
    assert "jörg@example.com needs SMTPUTF8" in str(failed)
