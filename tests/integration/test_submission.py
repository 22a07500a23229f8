"""Mails over SMTP become notifications of the real API before they are answered with 250."""

from __future__ import annotations

import re
import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

import pytest

from cli.servers.valkey import Valkey
from tests.eventually import eventually
from tests.integration.api import Api, running
from tests.submission import Submission, mail, serving

ENVELOPE = b"EHLO c\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<ann@example.com>\r\nDATA\r\n"
FROM = b"From: noreply@sender.example\r\n"


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url, body_limit=1_000_000, recipients_limit=5) as api:
        yield api


@pytest.fixture(scope="module")
def server(api: Api) -> Iterator[Submission]:
    with serving(api) as server:
        yield server


def send(server: Submission, message: EmailMessage, to: list[str] | None = None) -> str:
    """Send a mail; the text behind 250."""
    with server.client() as client:
        assert client.mail("bounces@sender.example")[0] == 250
        for address in to or [message["To"]]:
            assert client.rcpt(address)[0] == 250
        code, said = client.data(message.as_bytes(policy=SMTP))
    if code != 250:
        raise smtplib.SMTPDataError(code, said)
    return said.decode()


def refused(server: Submission, message: EmailMessage, to: list[str] | None = None) -> tuple[int, str]:
    """Send a mail that is refused; code and text."""
    with pytest.raises(smtplib.SMTPDataError) as error:
        send(server, message, to)
    text = error.value.smtp_error
    return error.value.smtp_code, text.decode() if isinstance(text, bytes) else text


def stored(api: Api, said: str) -> Any:
    """The notification that a reply names."""
    return api.client.notification(int(said.rpartition(" ")[2]))


def count(api: Api) -> int:
    return int(api.sql.rows("SELECT count(*) FROM notifications")[0][0])


def test_a_mail_is_stored_completely_before_the_250(api: Api, server: Submission) -> None:
    message = mail("Ann Ö. <ann@example.com>", "Schöne Grüße ☀\n", Cc='"Doe, Bob" <bob@example.com>')
    message.replace_header("From", "Shöp <noreply@sender.example>")
    message["Reply-To"] = "Help <help@example.com>"
    message["Message-ID"] = "<42@sender.example>"
    message["X-Campaign"] = "spring ☀"
    message["X-Tag"] = "welcome, spring"
    message["X-Priority"] = "1 (Highest)"
    message.add_alternative('<img src="cid:logo"><p>Grüße', subtype="html")
    message.get_payload()[1].add_related(b"GIF", "image", "gif", cid="<logo>")  # type: ignore[union-attr,index]
    message.add_attachment(b"%PDF", "application", "pdf", filename="Rechnung ä.pdf")

    found = stored(api, send(server, message, ["ann@example.com", "bob@example.com", "eve@example.com"]))

    assert (found["recipient"], found["recipientName"]) == ("ann@example.com", "Ann Ö.")
    assert (found["cc"], found["bcc"]) == (['"Doe, Bob" <bob@example.com>'], ["eve@example.com"])
    assert (found["from"], found["replyTo"]) == ('"Shöp" <noreply@sender.example>', '"Help" <help@example.com>')
    assert (found["subject"], found["message"]) == ("Hi", "Schöne Grüße ☀\n")
    assert found["html"] == '<img src="cid:logo"><p>Grüße\n'
    assert found["headers"] == {"X-Campaign": "spring ☀"}
    assert (found["tags"], found["priority"]) == (["welcome", "spring"], "high")
    assert found["metadata"] == {"messageId": "<42@sender.example>"}
    names = [(file["filename"], file["contentType"], file["contentId"]) for file in found["attachments"]]
    assert names == [("attachment-1.gif", "image/gif", "logo"), ("Rechnung ä.pdf", "application/pdf", None)]


def test_the_same_mail_again_is_stored_once(api: Api, server: Submission) -> None:
    message = mail(Message_ID="<again@sender.example>")

    first, second = send(server, message), send(server, message)

    assert first == second
    message.set_content("Another text")
    assert send(server, message) != first


def test_a_repeated_mail_without_a_message_id_is_stored_again(api: Api, server: Submission) -> None:
    assert send(server, mail()) != send(server, mail())


def test_an_idempotency_key_in_the_header_cannot_be_used_for_two_mails(api: Api, server: Submission) -> None:
    first = send(server, mail(X_Idempotency_Key="order 42"))

    assert send(server, mail(X_Idempotency_Key="order 42")) == first
    code, text = refused(server, mail(text="Other", X_Idempotency_Key="order 42"))
    assert (code, "Idempotency-Key" in text) == (550, True)


def test_recipients_outside_the_header_get_separate_mails(api: Api, server: Submission) -> None:
    before = count(api)

    said = send(server, mail("undisclosed-recipients:;"), ["ann@example.com", "bob@example.com", "ANN@example.com"])

    first, last = map(int, re.findall(r"\d+", said.partition("notifications")[2]))
    found = [api.client.notification(id) for id in range(first, last + 1)]
    assert [one["recipient"] for one in found] == ["ann@example.com", "bob@example.com"]
    assert [(one["cc"], one["bcc"]) for one in found] == [([], []), ([], [])]
    assert count(api) == before + 2


FAULTS = {
    "From: must be": (mail(), {"From": "eve@elsewhere.example"}, (550, "5.7.1", "from: must be the address of")),
    "an unknown header": (mail(), {"User-Agent": "mutt"}, (550, "5.6.0", "headers User-Agent: is not an allowed")),
    "a long subject": (mail(), {"Subject": "a" * 501}, (550, "5.6.0", "subject:")),
    "a program": (mail(), {"X-Tag": "a" * 65}, (550, "5.6.0", "tags (number 1):")),
    "another priority": (mail(), {"X-Priority": "urgent"}, (554, "5.6.0", "X-Priority must be high")),
    "one who gets nothing": (mail(), {"Cc": "bob@example.com"}, (554, "5.6.0", "name bob@example.com")),
}


@pytest.mark.parametrize(("message", "fields", "reply"), FAULTS.values(), ids=FAULTS)
def test_a_mail_that_the_api_refuses_is_refused_with_its_faults(
    api: Api, server: Submission, message: EmailMessage, fields: dict[str, str], reply: tuple[int, str, str]
) -> None:
    before = count(api)
    for name, value in fields.items():
        del message[name]
        message[name] = value

    code, text = refused(server, message)

    assert code == reply[0]
    assert text.startswith(reply[1])
    assert reply[2] in text
    assert count(api) == before


def test_a_suppressed_recipient_is_refused(api: Api, server: Submission) -> None:
    assert api.client.post("/api/suppressions", {"address": "gone@example.com"}).status == 201

    code, text = refused(server, mail("gone@example.com"))

    assert (code, text[:5]) == (550, "5.7.1")
    assert "suppress" in text


def test_the_server_announces_its_limits_and_keeps_them(server: Submission) -> None:
    with server.client() as client:
        assert client.esmtp_features["size"] == "1000000"
        assert {"pipelining", "8bitmime", "smtputf8", "auth"} <= client.esmtp_features.keys()
        assert client.mail("a@example.com", ["size=1000001"])[0] == 552
        client.mail("a@example.com")
        codes = [client.rcpt(f"r{number}@example.com")[0] for number in range(6)]
        assert codes == [250] * 5 + [452]
        assert client.rcpt("no address@")[0] == 553
        assert client.data(b"x" * 2_000 + b"\r\n")[0] == 500


def test_a_mail_above_the_size_limit_of_the_api_is_a_552(api: Api) -> None:
    with serving(api, BODY_LIMIT="5000000") as server:
        code, text = refused(server, mail(text=("a" * 70 + "\n") * 15_000))

    assert (code, text[:5]) == (552, "5.3.4")


def test_pipelined_commands_are_answered_in_order(api: Api, server: Submission) -> None:
    said = server.exchange(ENVELOPE, FROM, b"To: ann@example.com\r\n\r\n..dots\r\n...\r\n.\r\nNOOP\r\nQUIT\r\n")

    codes = [line[:3] for line in said.splitlines() if line[3:4] != b"-"]
    assert codes == [b"220", b"250", b"250", b"250", b"354", b"250", b"250", b"221"]
    [line] = [line for line in said.decode().splitlines() if "Stored as notification" in line]
    assert stored(api, line)["message"] == ".dots\n..\n"


@pytest.mark.parametrize("end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n"])
def test_smtp_smuggling_is_refused(api: Api, server: Submission, end: bytes) -> None:
    before = count(api)
    inner = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<eve@example.com>\r\nDATA\r\nTo: eve@example.com\r\n\r\nSmuggled\r\n"

    said = server.exchange(ENVELOPE, FROM, b"\r\nHello", end, inner, b".\r\nQUIT\r\n")

    assert b"554 5.6.0 The mail has a CR or LF that is alone" in said
    assert said.count(b"354 ") == 1
    assert count(api) == before


def test_8bit_text_and_addresses_of_any_script_arrive(api: Api, server: Submission) -> None:
    envelope = "EHLO c\r\nMAIL FROM:<a@example.com> BODY=8BITMIME SMTPUTF8\r\nRCPT TO:<jürgen@exämple.com>\r\nDATA\r\n"
    body = "To: Jürgen <jürgen@exämple.com>\r\nSubject: Grüße\r\n\r\nSchön\r\n.\r\nQUIT\r\n"

    said = server.exchange(envelope.encode(), FROM, body.encode()).decode()

    [line] = [line for line in said.splitlines() if "Stored as notification" in line]
    found = stored(api, line)
    assert (found["recipient"], found["subject"], found["message"]) == ("jürgen@exämple.com", "Grüße", "Schön\n")


@pytest.mark.parametrize("address", ["<", "<\\\\@[)(:>", "<>><", "<\udcff@b.example>", '"', "<@>", "<a b>"])
def test_a_malformed_address_is_refused(server: Submission, address: str) -> None:
    lines = f"EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:{address}\r\nQUIT\r\n".encode("utf-8", "surrogateescape")

    said = server.exchange(lines).splitlines()

    assert said[-2][:3] in (b"501", b"553", b"555")


def test_garbage_ends_the_conversation_and_not_the_server(server: Submission) -> None:
    said = server.exchange(b"\xff\xfe" * 9_000 + b"\r\n", b"\x00\r\n" * 5, until=b"502 ")

    assert b"500 Command line too long" in said
    assert send(server, mail())


def test_no_line_of_the_log_has_an_address_or_a_text(server: Submission) -> None:
    send(server, mail("secret-ann@example.com", "secret text"))
    refused(server, mail("secret-bob@example.com", Cc="secret-eve@example.com"))

    log = server.group.log.read_text()
    assert "submission.accepted" in log
    assert "submission.refused" in log
    assert "secret" not in log


def test_mails_are_deferred_while_the_api_is_unreachable(module_database_url: str, redis_server: Valkey) -> None:
    with running(module_database_url, redis_server.url) as api, serving(api) as server, server.client() as client:
        client.mail("a@example.com")
        client.rcpt("ann@example.com")
        assert api.api is not None
        api.api.kill()

        code, text = client.data(mail().as_bytes(policy=SMTP))

        assert (code, text[:5]) == (451, b"4.3.0")
        with server.client() as another:
            assert another.mail("a@example.com")[0] == 451
        again = api.start_api()
        try:
            assert send(server, mail())
        finally:
            again.kill()


def test_sigterm_says_goodbye_to_idle_clients_and_ends_with_0(api: Api) -> None:
    with serving(api) as server, server.client() as client:
        server.group.ask()

        with pytest.raises(smtplib.SMTPServerDisconnected):
            eventually(lambda: client.noop()[0] == 421 and client.noop())
        assert server.group.stop() == 0
