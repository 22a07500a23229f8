"""Marks of a mail by which a report about it is recognised."""

from __future__ import annotations

import re
from base64 import b32decode
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from actors.channels.email.envelope import commands
from actors.channels.email.http.brevo import request as brevo
from actors.channels.email.http.mailgun import request as mailgun
from actors.channels.email.http.outgoing import Outgoing
from actors.channels.email.http.postmark import request as postmark
from actors.channels.email.http.resend import request as resend
from actors.channels.email.http.sendgrid import request as sendgrid
from actors.channels.email.http.ses import request as ses
from actors.channels.email.identity import Identities, Identity, unique
from actors.channels.email.mail import Mail, compose
from actors.channels.email.mailboxes import Mailbox
from actors.channels.email.smtp_provider import SmtpProvider
from actors.reports import tokens
from actors.reports.reference import header
from db.records import Claimed
from settings import read
from settings.http_account import HttpAccount
from settings.providers import Provider
from settings.report_source import KINDS, ReportSource
from settings.smtp_url import SmtpServer

NOW = datetime(2027, 1, 1, tzinfo=UTC)
SENDER = Mailbox("Shop", "shop@example.com")
OWN, SET = b"o" * 64, b"s" * 32
TOKEN = tokens.token(7, SET)
ACCOUNT = HttpAccount("any", "SECRET", "https://api.example.com", "KEY", "eu-west-1", "example.com")


def claimed(created_at: datetime = NOW, retry_count: int = 0) -> Claimed:
    return Claimed(7, 1, "email", "ann@example.com", "Hi", "Hello", None, "resend", retry_count, created_at)


def identities(*keys: bytes, domain: str = "bounces.example.com") -> Identities:
    return Identities((*keys, OWN), NOW - timedelta(days=1), domain)


def test_a_message_id_cannot_be_guessed_and_is_the_same_in_every_attempt() -> None:
    marks = {identities(OWN).of(claimed(retry_count=n)).mark for n in range(5)}
    assert len(marks) == 1
    [mark] = marks
    assert re.fullmatch(re.escape(unique(claimed())) + r"\.[0-9a-f]{20}", mark)
    other = Identities((b"x" * 64,), NOW - timedelta(days=1))
    assert other.of(claimed()).mark != mark


def test_a_message_id_does_not_reveal_the_token() -> None:
    identity = identities().of(claimed())
    shown = bytes.fromhex(identity.mark.rpartition(".")[2])
    assert not any(shown[n : n + 3] in b32decode(identity.token.upper()) for n in range(len(shown) - 2))


def test_a_message_id_survives_the_rotation_of_the_secret() -> None:
    first, second = (identities(secret).of(claimed()) for secret in (b"a" * 32, b"b" * 32))
    assert first.mark == second.mark
    assert first.token != second.token


def test_a_notification_from_before_the_upgrade_keeps_its_message_id() -> None:
    old = claimed(NOW - timedelta(days=2))
    assert identities(SET).of(old).mark == unique(old)


def test_the_return_path_carries_the_token() -> None:
    identity = identities(SET).of(claimed())
    assert identity.return_path == f"b+{identity.token}@bounces.example.com"
    assert tokens.notification_of(identity.token, [SET]) == 7
    assert not identities(SET, domain="").of(claimed()).return_path


@pytest.mark.parametrize(
    ("option", "domain"), [("", "bounces.example.com"), ("off", None), ("b.example.net", "b.example.net")]
)
def test_a_provider_may_have_a_return_path_of_its_own(option: str, domain: str | None) -> None:
    identity = identities(SET).through(option).of(claimed())
    assert identity.return_path == (f"b+{identity.token}@{domain}" if domain else "")


def mail(domain: str = "", recipient: str = "ann+news=x@example.com") -> Mail:
    identity = identities(SET, domain=domain).of(claimed())
    return Mail("shop@example.com", (recipient,), b"", utf8=False, identity=identity)


def test_a_server_that_offers_dsn_gets_the_token_and_the_original_recipient() -> None:
    assert list(commands(mail(), dsn=True))[:2] == [
        f"MAIL FROM:<shop@example.com> RET=HDRS ENVID={TOKEN}",
        "RCPT TO:<ann+news=x@example.com> ORCPT=rfc822;ann+2Bnews+3Dx@example.com",
    ]


def test_a_server_without_dsn_gets_the_return_path_alone() -> None:
    assert list(commands(mail("bounces.example.com")))[:2] == [
        f"MAIL FROM:<b+{TOKEN}@bounces.example.com>",
        "RCPT TO:<ann+news=x@example.com>",
    ]


def test_an_address_beyond_ascii_has_no_orcpt() -> None:
    assert list(commands(mail(recipient="änn@example.com"), dsn=True))[1] == "RCPT TO:<änn@example.com>"


def test_the_content_does_not_depend_on_the_token() -> None:
    identity = identities(SET).of(claimed())
    content = compose(claimed(), SENDER, identity=identity).content
    assert f"Message-ID: <{identity.mark}@example.com>".encode() in content
    assert identity.token.encode() not in content


def outgoing(identity: Identity | None) -> Outgoing:
    return Outgoing(claimed(), SENDER, NOW, (), None, identity)


WRITTEN = {
    postmark: lambda body: body["Metadata"],
    sendgrid: lambda body: body["custom_args"],
    resend: lambda body: {tag["name"]: tag["value"] for tag in body["tags"]},
    brevo: lambda body: dict([body["headers"]["X-Mailin-custom"].split(":")]),
    ses: lambda body: {tag["Name"]: tag["Value"] for tag in body["EmailTags"]},
}


@pytest.mark.parametrize("request_of", WRITTEN, ids=lambda one: one.__module__.rpartition(".")[2])
def test_a_provider_gets_the_token_in_its_reference_field(request_of: object) -> None:
    identity = identities(SET).of(claimed())
    body = orjson.loads(request_of(outgoing(identity), ACCOUNT).body)  # type: ignore[operator]
    assert WRITTEN[request_of](body) == {"notify_token": identity.token}  # type: ignore[index, no-untyped-call]
    assert b"notify_token" not in request_of(outgoing(None), ACCOUNT).body  # type: ignore[operator]


def test_mailgun_gets_the_token_as_a_variable() -> None:
    identity = identities(SET).of(claimed())
    body = mailgun(outgoing(identity), ACCOUNT).body
    assert f'name="v:notify_token"\r\n\r\n{identity.token}\r\n'.encode() in body


@pytest.mark.parametrize("kind", sorted({*KINDS} - {"twilio", "vonage", "resend"}))
def test_a_mail_over_smtp_has_the_header_in_which_its_provider_expects_the_token(kind: str) -> None:
    source = ReportSource(kind, ("key",), ("secret",))
    server = SmtpServer("mail.example.com", 587)
    marks = identities(SET)

    def content(reports: ReportSource | None) -> bytes:
        channel = SmtpProvider(
            read({"MAIL_FROM": "shop@example.com"}), Provider("main", server, "smtp", reports=reports), identities=marks
        )
        return channel.compose(claimed()).content

    line, _, rest = content(source).partition(b"\r\n")
    assert rest == content(None)
    assert marks.of(claimed()).token in line.decode()
    assert re.fullmatch(r"X-[A-Za-z_-]+: [ -~]{1,900}", line.decode())


def test_the_headers_for_providers_are_read_as_they_document_them() -> None:
    assert orjson.loads(header("sendgrid", "t").partition(b": ")[2]) == {"unique_args": {"notify_token": "t"}}
    assert orjson.loads(header("sparkpost", "t").partition(b": ")[2]) == {"metadata": {"notify_token": "t"}}
    assert orjson.loads(header("mailgun", "t").partition(b": ")[2]) == {"notify_token": "t"}
    assert header("ses", "t") == b"X-SES-MESSAGE-TAGS: notify_token=t\r\n"
    assert header("resend", "t") == header("", "t") == b""
