"""Mails sent through providers with an HTTP API, and their content."""

from __future__ import annotations

import asyncio
import logging
import ssl
from email.message import EmailMessage
from typing import Any

import pytest

from actors.channels import Deferred, ProviderDown, Refused
from actors.channels.email.http.provider import APIS
from actors.channels.email.providers import make
from db.records import Claimed
from settings import SettingsError, providers
from settings.providers import Provider
from tests.conftest import TlsAuthority
from tests.environment import configured
from tests.integration.http_mailing import Mailer, provider
from tests.providers.apis import SECRET, URLS, Fake
from tests.providers.mails import CONTENTS, MODEST, PLAIN, RICH
from tests.providers.server import Server

KINDS = sorted(APIS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_plain_mail_is_taken_and_the_receipt_has_the_providers_id(kind: str) -> None:
    with provider(kind) as (_, fake, mailer):
        receipt = mailer.send()

    assert receipt.phase == "answer"
    assert receipt.reply_code in (200, 201, 202)
    assert "id-1" in receipt.text
    [taken] = fake.sink
    assert taken.recipients == ["a@example.com"]
    assert "Hello" in str(taken.content)


@pytest.mark.parametrize("kind", KINDS)
def test_all_recipients_get_one_mail_with_all_its_parts(kind: str) -> None:
    modest = kind == "brevo"
    with provider(kind) as (_, fake, mailer):
        mailer.send(MODEST if modest else RICH, CONTENTS[:1] if modest else CONTENTS)

    [taken] = fake.sink
    assert taken.recipients == ["a@example.com", "b@example.com", "c@example.com"]
    if isinstance(taken.content, EmailMessage):
        _is_rich(taken.content)
    else:
        _has_all(taken.content, MODEST if modest else RICH)


def _is_rich(mail: EmailMessage) -> None:
    assert mail["Subject"] == RICH.subject
    assert mail["To"] == '"Doe, Ann" <a@example.com>'
    assert mail["Cc"] == "Bob <b@example.com>"
    assert mail["Bcc"] is None
    assert mail["Reply-To"] == "Help <help@example.com>"
    assert mail["List-Unsubscribe"] == "<https://example.com/leave?list=7>"
    assert mail["Message-ID"] == "<5.60dd710212000@example.com>"
    assert [part.get_filename() for part in mail.walk() if part.get_filename()] == ["logo.gif", "a.txt"]


def _has_all(document: Any, mail: Claimed) -> None:
    """All that was given is somewhere in the document, as the API names it."""
    assert mail.subject in str(document)
    said = str(document)
    for text in ("Größe: 1 €", "Zeile 2 ü", "Hällo", "Doe, Ann", "Bob", "help@example.com", "a.txt", "YWJj"):
        assert text in said
    assert "X-Campaign" in said


@pytest.mark.parametrize("kind", sorted({*KINDS} - {"brevo"}))
def test_an_image_in_the_html_and_the_link_to_unsubscribe_arrive(kind: str) -> None:
    with provider(kind) as (_, fake, mailer):
        mailer.send(RICH, CONTENTS)

    said = str(fake.sink[0].content)
    for text in ("logo.gif", "R0lG", "List-Unsubscribe", "https://example.com/leave?list=7", "One-Click"):
        assert text in said


@pytest.mark.parametrize("kind", KINDS)
def test_many_mails_go_over_one_connection(kind: str) -> None:
    with provider(kind) as (server, fake, mailer):
        for number in range(5):
            mailer.send(PLAIN._replace(id=number))

        assert server.connections == 1
        assert len(fake.sink) == 5
        assert mailer.channel.limits.open == 1
    assert mailer.channel.limits.open == 0


@pytest.mark.parametrize("kind", KINDS)
def test_every_attempt_posts_the_same_bytes(kind: str) -> None:
    with provider(kind) as (server, _, mailer):
        mailer.send(MODEST, CONTENTS[:1])
        if kind == "brevo":
            mailer.failure(MODEST, CONTENTS[:1])
        else:
            mailer.send(MODEST, CONTENTS[:1])

        first, second = server.requests
    assert first.body == second.body
    timed = {"x-amz-date", "authorization"} if kind == "ses" else set()
    assert {k: v for k, v in first.headers.items() if k not in timed} == {
        k: v for k, v in second.headers.items() if k not in timed
    }


def test_resend_takes_a_mail_once_however_often_it_is_posted() -> None:
    with provider("resend") as (server, fake, mailer):
        first, second = mailer.send(), mailer.send()

    assert len(server.requests) == 2
    assert len(fake.sink) == 1
    assert first == second


@pytest.mark.parametrize("kind", KINDS)
def test_a_mail_that_another_worker_has_claimed_is_not_posted(kind: str) -> None:
    with provider(kind) as (server, fake, mailer):
        with pytest.raises(Deferred, match="another worker"):
            mailer.send(begin=lambda: False)

        assert not server.requests
        assert not fake.sink


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_key_means_that_the_provider_is_down(kind: str) -> None:
    with provider(kind) as (_, fake, _), Server(fake) as server:
        given = URLS[kind].replace(SECRET.replace("/", "%2F"), "wrong")
        parsed = providers.parse("PROVIDER_TEST", f"{given}?endpoint={server.url}")
        mailer = Mailer(kind, server.url)
        mailer.channel.account = parsed.account  # type: ignore[assignment]
        error = mailer.failure()
        mailer.hang_up()

    assert isinstance(error, ProviderDown)
    assert error.receipt.reply_code in (401, 403)
    assert not fake.sink


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("field", ["recipient", "cc", "bcc", "replyTo"])
def test_an_address_that_needs_smtputf8_is_refused_by_name(kind: str, field: str) -> None:
    address = "jürgen@example.com"
    given = {field: address if field == "replyTo" else [address]}
    mail = PLAIN._replace(recipient=address) if field == "recipient" else PLAIN._replace(mail=given)
    with provider(kind) as (server, _, mailer):
        error = mailer.failure(mail)

        assert not server.requests
    assert isinstance(error, Refused)
    assert "needs SMTPUTF8" in str(error)


@pytest.mark.parametrize("kind", KINDS)
def test_a_domain_in_another_script_is_sent_in_ascii(kind: str) -> None:
    with provider(kind) as (_, fake, mailer):
        mailer.send(PLAIN._replace(recipient="ann@bücher.example"))

    assert fake.sink[0].recipients == ["ann@xn--bcher-kva.example"]


@pytest.mark.parametrize("kind", KINDS)
def test_line_breaks_in_a_subject_or_name_add_no_header(kind: str) -> None:
    mail = PLAIN._replace(subject="Hi\r\nBcc: x@example.com", mail={"recipientName": "Ann\r\nX-Evil: 1"})
    with provider(kind) as (server, fake, mailer):
        mailer.send(mail)

        assert b"\\r" not in server.requests[0].body  # as JSON writes it
    content = fake.sink[0].content
    if isinstance(content, EmailMessage):
        assert content["X-Evil"] is None
        assert content["Bcc"] is None


@pytest.mark.parametrize("kind", KINDS)
def test_neither_logs_nor_representations_show_the_key(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with provider(kind) as (_, _, mailer):
        mailer.send()
        request = mailer.channel.api.request(mailer.channel.outgoing(PLAIN, ()), mailer.channel.account)

    assert SECRET not in f"{caplog.text} {request!r} {mailer.channel.account!r}"


def test_a_certificate_is_verified_and_its_authority_can_be_given(tls_authority: TlsAuthority) -> None:
    fake = Fake("postmark")
    with Server(fake, tls_authority.context) as server:
        stranger = Mailer("postmark", server.url)
        error = stranger.failure()
        stranger.hang_up()
        friend = Mailer("postmark", server.url, context=ssl.create_default_context(cafile=str(tls_authority.ca)))
        friend.send()
        friend.hang_up()

    assert isinstance(error, ProviderDown)
    assert error.receipt.phase == "tls"
    assert "certificate" in str(error)
    assert len(fake.sink) == 1


def test_the_channel_of_a_configured_account_sends_as_its_own_sender() -> None:
    fake = Fake("postmark")
    with Server(fake) as server, configured(mail_from="noreply@example.com") as settings:
        url = f"{URLS['postmark']}?endpoint={server.url}&from=other@example.com&connections=3"
        parsed: Provider = providers.parse("PROVIDER_BACKUP", url)

        async def send() -> None:
            channel = make(parsed, settings)
            await channel.start()
            assert channel.provider == "backup"
            assert channel.limits.limit(0.0) == 3
            sender = channel.sender()
            await sender.send(PLAIN)
            await sender.hang_up()
            await channel.close()

        asyncio.run(send())
    assert fake.sink[0].content["From"] == "other@example.com"


def test_a_sender_in_a_url_that_is_no_address_is_refused_by_name() -> None:
    parsed = providers.parse("PROVIDER_BACKUP", f"{URLS['postmark']}?from=nobody")

    with configured(mail_from="noreply@example.com") as settings, pytest.raises(SettingsError) as refused:
        make(parsed, settings)
    assert str(refused.value).startswith("the option from of PROVIDER_BACKUP is not a mail address: give ")
