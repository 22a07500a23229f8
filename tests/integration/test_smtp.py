"""The outcome and the text of each answer of a mail server, in each phase."""

from __future__ import annotations

import base64
import ssl

import pytest
import trustme

from actors.channels import Deferred, ProviderDown, Receipt, Refused, Uncertain, Undelivered
from tests.conftest import TlsAuthority
from tests.integration.mailing import IMPATIENT, channel, failure, notification
from tests.smtp import Drop, Hang, Phase, Reply, SmtpServer

USERS = {"shop": "pa55 wörd"}
CREDENTIALS = "shop:pa55%20w%C3%B6rd@"
SECRETS = ("pa55", base64.b64encode("\0shop\0pa55 wörd".encode()).decode(), base64.b64encode(b"pa55").decode()[:5])


def told(error: Undelivered) -> tuple[type[Undelivered], str, int | None, str | None]:
    return type(error), error.receipt.phase, error.receipt.reply_code, error.receipt.enhanced_code


def as_user(server: SmtpServer, *options: str) -> str:
    """SMTP_URL with credentials."""
    return server.url.replace("://", f"://{CREDENTIALS}") + ("?" if options else "") + "&".join(options)


def test_a_sent_mail_has_the_reply_of_the_server(smtp_server: SmtpServer) -> None:
    email = channel(smtp_server.url)
    assert email.send(notification()) == Receipt("content", 250, "2.0.0", "250 2.0.0 queued")
    email.hang_up()
    [mail] = smtp_server.mails
    assert (mail.sender, mail.recipients, mail.options) == ("noreply@example.com", ("a@example.com",), ())
    assert email.channel.provider == f"127.0.0.1:{smtp_server.port}"


@pytest.mark.parametrize(
    ("phase", "code", "error", "told_phase"),
    [
        ("connect", 421, ProviderDown, "greeting"),
        ("connect", 554, ProviderDown, "greeting"),
        ("ehlo", 421, ProviderDown, "ehlo"),
        ("ehlo", 502, ProviderDown, "ehlo"),
        ("mail", 421, ProviderDown, "mail"),
        ("mail", 451, Deferred, "mail"),
        ("mail", 530, ProviderDown, "mail"),
        ("mail", 550, ProviderDown, "mail"),
        ("rcpt", 421, ProviderDown, "rcpt"),
        ("rcpt", 450, Deferred, "rcpt"),
        ("rcpt", 550, Refused, "rcpt"),
        ("rcpt", 599, Refused, "rcpt"),
        ("data", 421, ProviderDown, "data"),
        ("data", 451, Deferred, "data"),
        ("data", 554, Refused, "data"),
        ("dot", 421, ProviderDown, "content"),
        ("dot", 452, Deferred, "content"),
        ("dot", 554, Refused, "content"),
    ],
)
def test_a_refusal_is_judged_by_phase_and_code(
    smtp_server: SmtpServer, phase: Phase, code: int, error: type[Undelivered], told_phase: str
) -> None:
    enhanced = f"{code // 100}.7.1"
    smtp_server.on(phase, Reply(code, f"{enhanced} not like this"), times=None)
    refused = failure(channel(smtp_server.url))
    assert told(refused) == (error, told_phase, code, enhanced)
    assert str(refused) == f"{code} {enhanced} not like this"
    assert smtp_server.mails == []


@pytest.mark.parametrize(("phase", "code"), [("mail", 251), ("rcpt", 251), ("rcpt", 252), ("data", 355), ("dot", 252)])
def test_an_unusual_positive_code_means_sent(smtp_server: SmtpServer, phase: Phase, code: int) -> None:
    smtp_server.on(phase, Reply(code))
    email = channel(smtp_server.url)
    email.send(notification())
    email.hang_up()
    assert len(smtp_server.mails) == 1


@pytest.mark.parametrize(
    ("phase", "error", "told_phase"),
    [
        ("connect", ProviderDown, "greeting"),
        ("ehlo", ProviderDown, "ehlo"),
        ("mail", Deferred, "mail"),
        ("rcpt", Deferred, "rcpt"),
        ("data", Deferred, "data"),
        ("dot", Uncertain, "content"),
    ],
)
def test_a_lost_connection_and_a_hang_are_judged_by_phase(
    smtp_server: SmtpServer, phase: Phase, error: type[Undelivered], told_phase: str
) -> None:
    smtp_server.on(phase, Drop())
    assert told(failure(channel(smtp_server.url))) == (error, told_phase, None, None)
    smtp_server.on(phase, Hang())
    hung = failure(channel(smtp_server.url, **IMPATIENT))
    assert (told(hung), str(hung)) == ((error, told_phase, None, None), "no answer in time")
    assert smtp_server.mails == []


def test_a_mail_that_was_not_sent_completely_is_deferred_and_not_uncertain(smtp_server: SmtpServer) -> None:
    smtp_server.on("body", Drop())
    long = failure(channel(smtp_server.url), message="a line\n" * 4_000_000)
    assert told(long) == (Deferred, "content", None, None)


def test_a_refusal_in_the_middle_of_the_body_is_judged_by_its_code(smtp_server: SmtpServer) -> None:
    smtp_server.on("body", Reply(552, "5.3.4 too big"))
    assert told(failure(channel(smtp_server.url))) == (Refused, "content", 552, "5.3.4")


def test_an_unreachable_server_is_down(smtp_server: SmtpServer) -> None:
    smtp_server.stop()
    refused = failure(channel(smtp_server.url))
    assert told(refused) == (ProviderDown, "connect", None, None)
    assert "connection refused" in str(refused)


@pytest.mark.parametrize("host", ["nonexistent.invalid", "a" * 64 + ".invalid"])
def test_a_server_whose_name_is_unknown_is_down(host: str) -> None:
    assert told(failure(channel(f"smtp://{host}:2525"))) == (ProviderDown, "connect", None, None)


def test_tls_is_used_if_the_server_offers_it(tls_authority: TlsAuthority) -> None:
    with SmtpServer(tls=tls_authority.context) as server:
        for option in ("starttls=required", "starttls=optional", "starttls=off"):
            email = channel(f"{server.url}?{option}&ca={tls_authority.ca}")
            email.send(notification())
            email.hang_up()
        assert [mail.tls for mail in server.mails] == [True, True, False]


def test_smtps_uses_tls_from_the_first_byte(tls_authority: TlsAuthority) -> None:
    with SmtpServer(tls=tls_authority.context, implicit_tls=True, users=USERS) as server:
        email = channel(as_user(server, f"ca={tls_authority.ca}"))
        email.send(notification())
        email.hang_up()
        assert [(mail.tls, mail.user) for mail in server.mails] == [(True, "shop")]
        untrusted = failure(channel(server.url))
        assert told(untrusted) == (ProviderDown, "tls", None, None)
        assert "certificate" in str(untrusted)


def test_an_untrusted_certificate_is_refused_only_if_tls_is_required(
    tls_authority: TlsAuthority,
) -> None:
    with SmtpServer(tls=tls_authority.context) as server:
        untrusted = failure(channel(f"{server.url}?starttls=required"))
        assert told(untrusted) == (ProviderDown, "starttls", None, None)
        assert "certificate" in str(untrusted)
        email = channel(f"{server.url}?starttls=optional")
        email.send(notification())
        email.hang_up()
        assert [mail.tls for mail in server.mails] == [True]


def test_a_certificate_for_another_host_is_refused(tls_authority: TlsAuthority) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example").configure_cert(context)
    ca = tls_authority.ca.with_name("other.pem")
    authority.cert_pem.write_to_path(str(ca))
    with SmtpServer(tls=context) as server:
        assert "certificate" in str(failure(channel(f"{server.url}?starttls=required&ca={ca}")))


def test_required_tls_that_is_not_offered_or_refused_stops_the_mail(
    smtp_server: SmtpServer, tls_authority: TlsAuthority
) -> None:
    missing = failure(channel(f"{smtp_server.url}?starttls=required"))
    assert told(missing) == (ProviderDown, "starttls", None, None)
    with SmtpServer(tls=tls_authority.context) as server:
        server.on("starttls", Reply(454, "4.7.0 not now"))
        refused = failure(channel(f"{server.url}?starttls=required&ca={tls_authority.ca}"))
        assert told(refused) == (ProviderDown, "starttls", 454, "4.7.0")
        for action in (Drop(), Hang()):
            server.on("starttls", action)
            email = channel(f"{server.url}?starttls=required&ca={tls_authority.ca}", **IMPATIENT)
            assert told(failure(email)) == (ProviderDown, "starttls", None, None)


def test_credentials_go_over_tls(tls_authority: TlsAuthority) -> None:
    with SmtpServer(tls=tls_authority.context, users=USERS) as server:
        email = channel(as_user(server, f"ca={tls_authority.ca}"))
        email.send(notification())
        email.hang_up()
        assert [(mail.tls, mail.user) for mail in server.mails] == [(True, "shop")]


@pytest.mark.parametrize("option", ["starttls=required", "starttls=optional"])
def test_credentials_never_go_in_clear_unless_the_url_says_so(option: str) -> None:
    with SmtpServer(users=USERS) as server:
        server.on("auth", Drop(), times=None)
        assert failure(channel(as_user(server, option))).receipt.phase in ("starttls", "auth")
        assert server.refusals == []  # AUTH was never said.
        server.script.clear()
        email = channel(as_user(server, "starttls=off"))
        email.send(notification())
        email.hang_up()
        assert [mail.user for mail in server.mails] == ["shop"]


@pytest.mark.parametrize(
    ("action", "code", "enhanced"),
    [
        (Reply(535, "5.7.8 wrong"), 535, "5.7.8"),
        (Reply(454, "4.7.0 not now"), 454, "4.7.0"),
        (Reply(421, "4.3.2 closing"), 421, "4.3.2"),
        (Reply(500, f"what is AUTH PLAIN {SECRETS[1]}? pa55 wörd?"), 500, None),
        (Reply(334, "go on"), 334, None),
        (Drop(), None, None),
        (Hang(), None, None),
    ],
)
def test_a_failed_login_means_that_the_provider_is_down_and_shows_no_password(
    action: Reply | Drop | Hang, code: int | None, enhanced: str | None
) -> None:
    with SmtpServer(users=USERS) as server:
        server.on("auth", action, times=None)
        down = failure(channel(as_user(server, "starttls=off"), **IMPATIENT))
        assert told(down) == (ProviderDown, "auth", code, enhanced)
        assert not any(secret in repr(down) + repr(down.receipt) for secret in SECRETS)
        assert server.connections == 1


def test_a_wrong_password_is_tried_once() -> None:
    with SmtpServer(users={"shop": "another"}) as server:
        down = failure(channel(as_user(server, "starttls=off")))
        assert told(down) == (ProviderDown, "auth", 535, "5.7.8")
