"""Fallbacks while connecting: HELO, AUTH LOGIN, a connection in clear text, and the EHLO name."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from unittest import mock

import pytest

from actors.channels import ProviderDown
from settings import SettingsError, read
from tests.conftest import TlsAuthority
from tests.integration.mailing import TALK, channel, failure, notification
from tests.smtp import Drop, Reply, SmtpServer
from tests.smtp.session import Session

USER = "shop:secret@"
PLAIN = base64.b64encode(b"\0shop\0secret").decode()
LOGIN = [base64.b64encode(word).decode() for word in (b"shop", b"secret")]


@contextmanager
def answering(**answers: str | Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """SMTP_URL of a server that answers commands, by their first word, so; and the lines that it has read.

    Of several answers each is given once, the last one from then on.
    """
    said: list[str] = []
    known = {word.upper(): [answer] if isinstance(answer, str) else list(answer) for word, answer in answers.items()}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, known, said))
        thread.start()
        yield f"smtp://127.0.0.1:{listener.getsockname()[1]}", said
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _serve(listener: socket.socket, known: dict[str, list[str]], said: list[str]) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client, suppress(OSError):
            client.sendall(TALK[0])
            for raw in client.makefile("rb"):
                line = raw.decode().rstrip("\r\n")
                said.append(line)
                answers = known.get(line.split(" ")[0].upper(), ["250 ok"])
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                if not answer:
                    break
                client.sendall(answer.encode() + b"\r\n")


def sent(url: str, **settings: object) -> None:
    email = channel(url, **settings)
    email.send(notification())
    email.hang_up()


@pytest.mark.parametrize("code", [500, 501, 502, 504, 550, 554])
def test_a_server_that_refuses_ehlo_gets_helo(code: int) -> None:
    named = mock.patch("socket.gethostname", return_value="notify.example.com")
    with answering(ehlo=f"{code} 5.5.1 what?", mail="450 enough") as (url, said), named:
        assert failure(channel(url)).receipt.phase == "mail"
    assert said[:3] == ["EHLO notify.example.com", "HELO notify.example.com", "MAIL FROM:<noreply@example.com>"]


def test_a_mail_goes_over_a_connection_that_began_with_helo(smtp_server: SmtpServer) -> None:
    smtp_server.on("ehlo", Reply(502, "5.5.1 not implemented"))
    sent(smtp_server.url)
    assert [mail.recipients for mail in smtp_server.mails] == [("a@example.com",)]
    assert smtp_server.connections == 1


@pytest.mark.parametrize("code", [421, 450, 451])
def test_a_server_that_is_busy_at_ehlo_gets_no_helo(smtp_server: SmtpServer, code: int) -> None:
    smtp_server.on("ehlo", Reply(code))
    down = failure(channel(smtp_server.url))
    assert (type(down), down.receipt.phase, down.receipt.reply_code) == (ProviderDown, "ehlo", code)


@pytest.mark.parametrize("options", ["?starttls=required", "?starttls=off"])
def test_helo_is_not_tried_where_extensions_are_needed(smtp_server: SmtpServer, options: str) -> None:
    smtp_server.on("ehlo", Reply(502, "5.5.1 what?"))
    url = smtp_server.url + options
    down = failure(channel(url if "required" in url else url.replace("://", f"://{USER}")))
    assert (type(down), down.receipt.phase, down.receipt.reply_code) == (ProviderDown, "ehlo", 502)


def offering(mechanisms: str, *answers: str) -> dict[str, str | list[str]]:
    return {"ehlo": f"250-hello\r\n250 AUTH {mechanisms}", "auth": list(answers), "mail": "450 enough"}


@pytest.mark.parametrize(
    "answer",
    ["502 not implemented", "504 5.5.4 no such mechanism", "503 5.5.1 no", "501 5.5.4 no", "500 what?",
     "534 5.7.9 authentication mechanism is too weak"],
)  # fmt: skip
def test_a_server_that_refuses_auth_plain_itself_gets_auth_login(answer: str) -> None:
    words = dict(zip(map(str.upper, LOGIN), ("334 UGFzc3dvcmQ6", "235 welcome"), strict=True))
    with answering(**offering("PLAIN LOGIN", answer, "334 VXNlcm5hbWU6"), **words) as (url, said):
        assert failure(channel(url.replace("://", f"://{USER}") + "?starttls=off")).receipt.phase == "mail"
    assert said[1:5] == [f"AUTH PLAIN {PLAIN}", "AUTH LOGIN", *LOGIN]


@pytest.mark.parametrize(
    "answer", ["535 5.7.8 bad credentials", "534 5.7.9 Application-specific password required", "454 4.7.0 not now"]
)
def test_a_refused_password_is_not_sent_again(answer: str) -> None:
    with answering(**offering("PLAIN LOGIN", answer)) as (url, said):
        down = failure(channel(url.replace("://", f"://{USER}") + "?starttls=off"))
    assert (type(down), down.receipt.phase, str(down)) == (ProviderDown, "auth", answer)
    assert [line for line in said if line.startswith("AUTH")] == [f"AUTH PLAIN {PLAIN}"]


def test_without_auth_login_a_refused_auth_plain_is_final() -> None:
    with answering(**offering("PLAIN", "504 5.5.4 no")) as (url, said):
        assert failure(channel(url.replace("://", f"://{USER}") + "?starttls=off")).receipt.reply_code == 504
    assert "AUTH LOGIN" not in said


def test_unsupported_auth_mechanisms_are_reported_by_name() -> None:
    with answering(**offering("CRAM-MD5 XOAUTH2", "")) as (url, _):
        down = failure(channel(url.replace("://", f"://{USER}") + "?starttls=off"))
    assert str(down) == "the mail server offers AUTH CRAM-MD5 XOAUTH2: neither AUTH PLAIN nor AUTH LOGIN"


@pytest.mark.parametrize("action", [Reply(454, "4.7.0 not now"), Reply(502, "5.5.1 no"), Reply(554, "no"), Drop()])
def test_after_refused_optional_tls_a_new_connection_is_made_in_clear(
    action: Reply | Drop, tls_authority: TlsAuthority
) -> None:
    with SmtpServer(tls=tls_authority.context) as server:
        server.on("starttls", action)
        sent(f"{server.url}?starttls=optional")
        assert [(mail.tls, mail.connection) for mail in server.mails] == [(False, 2)]


def test_after_a_failed_optional_tls_handshake_a_new_connection_is_made_in_clear(tls_authority: TlsAuthority) -> None:
    async def broken(self: Session, _line: str) -> None:
        await self._reply(220, "go ahead")
        self._wire.write(b"\x15\x03\x01\x00\x02\x02\x28")  # TLS alert: handshake failure
        raise ConnectionResetError

    with SmtpServer(tls=tls_authority.context) as server, mock.patch.object(Session, "_starttls", broken):
        sent(f"{server.url}?starttls=optional")
        assert [(mail.tls, mail.connection) for mail in server.mails] == [(False, 2)]


@pytest.mark.parametrize("option", ["starttls=required", "starttls=optional"])
def test_a_password_is_never_sent_in_clear_because_tls_was_refused(option: str, tls_authority: TlsAuthority) -> None:
    with SmtpServer(tls=tls_authority.context, users={"shop": "secret"}) as server:
        server.on("starttls", Reply(454, "4.7.0 not now"), times=None)
        server.on("auth", Drop(), times=None)
        with pytest.raises((ProviderDown, SettingsError)):
            channel(f"{server.url.replace('://', f'://{USER}')}?{option}").send(notification())
        assert all(refusal.phase == "starttls" for refusal in server.refusals)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("notify.example.com", "notify.example.com"),
        ("notify.example.com.", "notify.example.com"),
        ("web-1", "[127.0.0.1]"),
        ("localhost", "[127.0.0.1]"),
        ("localhost.localdomain", "[127.0.0.1]"),
        ("my_host.example.com", "[127.0.0.1]"),
        ("10.0.0.7", "[127.0.0.1]"),
        ("-a.example.com", "[127.0.0.1]"),
        ("münchen.example", "[127.0.0.1]"),
        ("a" * 64 + ".example", "[127.0.0.1]"),
        ("", "[127.0.0.1]"),
    ],
)
def test_the_ehlo_name_is_the_full_host_name_or_else_the_address(host: str, name: str) -> None:
    with answering(ehlo="450 enough") as (url, said), mock.patch("socket.gethostname", return_value=host):
        failure(channel(url))
    assert said == [f"EHLO {name}"]


@pytest.mark.parametrize("name", ["mail.example.com", "[192.0.2.1]", "[IPv6:2001:db8::1]"])
def test_smtp_ehlo_name_sets_the_ehlo_name(name: str) -> None:
    with answering(ehlo="450 enough") as (url, said):
        failure(channel(url, smtp_ehlo_name=name))
    assert said == [f"EHLO {name}"]


@pytest.mark.parametrize(
    "name",
    [
        *("localhost", "web-1", "my_host.example.com", "a b.example.com", "mail.example.com\r\nMAIL FROM:<>"),
        *(
            "1.2.3.4",
            "-a.example",
            "a-.example",
            "mail..example",
            ".example",
            "localhost.localdomain",
            "münchen.example",
        ),
        *("[1.2.3]", "[::1]", "[IPv6:x]", "[IPv6:fe80::1%eth0]", "[]", "a" * 64 + ".example", "a." * 127 + "example"),
    ],
)
def test_an_invalid_ehlo_name_stops_the_start(name: str) -> None:
    with pytest.raises(SettingsError, match=r"^SMTP_EHLO_NAME is .*: give a full domain name such as mail.example.com"):
        read({"SMTP_EHLO_NAME": name})


def test_a_server_that_ignores_the_initial_response_of_auth_plain_gets_it_again() -> None:
    again = {PLAIN.upper(): "235 welcome"}
    with answering(**offering("PLAIN LOGIN", "334 "), **again) as (url, said):
        assert failure(channel(url.replace("://", f"://{USER}") + "?starttls=off")).receipt.phase == "mail"

    assert said[1:3] == [f"AUTH PLAIN {PLAIN}", PLAIN]
