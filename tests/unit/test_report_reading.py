"""Reports that come as mails are read for what they say about each recipient."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.reports import reading, tokens
from actors.reports.bounce_class import bounce_class
from actors.reports.reading import Unreadable
from tests.reporting import arf, dsn, group

KEY = b"k" * 32
TOKEN = tokens.token(17, KEY)
PATH = tokens.return_path(TOKEN, "bounces.example.com")
UNKNOWN = "550 5.1.1 <ann@example.com>: Recipient address rejected: User unknown in local recipient table"


def test_a_token_identifies_its_notification_in_upper_or_lower_case() -> None:
    assert len(PATH.partition("@")[0]) <= 64
    assert tokens.notification_of(TOKEN, [b"x" * 32, KEY]) == 17
    assert tokens.notification_of(TOKEN.upper(), [KEY]) == 17


@pytest.mark.parametrize("forged", ["", "a" * 32, TOKEN[:-1], TOKEN + "a", "é" * 32, TOKEN[:-1] + "1"])
def test_a_forged_token_identifies_no_notification(forged: str) -> None:
    assert tokens.notification_of(forged, [KEY]) is None


def test_a_token_of_another_secret_identifies_no_notification() -> None:
    assert tokens.notification_of(TOKEN, [b"x" * 32]) is None


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("kind", ["message/delivery-status", "message/global-delivery-status"])
def test_each_recipient_of_a_notification_has_an_event(line_end: bytes, kind: str) -> None:
    raw = dsn(
        group(said=UNKNOWN),
        group("bob@example.com", "delayed", "4.4.1"),
        group("eve@example.com", "relayed", "2.0.0"),
        group("dan@example.com", "delivered", "2.1.5"),
        to=PATH,
        kind=kind,
    )
    found = reading.events(raw.replace(b"\n", line_end))
    assert [(e.kind, e.recipient, e.bounce_class, e.code) for e in found] == [
        ("bounced", "ann@example.com", "hard", "5.1.1"),
        ("delayed", "bob@example.com", None, "4.4.1"),
        ("delivered", "dan@example.com", None, "2.1.5"),
    ]
    assert {e.token for e in found} == {TOKEN}
    assert found[0].text == UNKNOWN


def test_the_token_is_found_wherever_mail_systems_put_it() -> None:
    assert [e.token for e in reading.events(dsn(envelope_id=TOKEN))] == [TOKEN]
    assert [e.token for e in reading.events(dsn(), f"other@example.com {PATH.upper()}")] == [TOKEN]
    assert [e.token for e in reading.events(arf("abuse", "f@example.com", f"Original-Mail-From: <{PATH}>"))] == [TOKEN]
    assert [e.token for e in reading.events(dsn())] == [None]


def test_a_part_in_base64_is_decoded() -> None:
    fields = f"Reporting-MTA: dns; mx\n\n{group(said=UNKNOWN)}"
    raw = dsn(to=PATH, encoding="base64").replace(
        b"Reporting-MTA: dns; mx.example.net\n\n" + group().encode(), b"\n" + b64encode(fields.encode()) + b"\n"
    )
    assert [e.bounce_class for e in reading.events(raw)] == ["hard"]


def test_an_address_beyond_ascii_is_decoded() -> None:
    text = group().replace("rfc822; ann@example.com", "utf-8; \\x{E4}nn@ex\\x{E4}mple.com")
    assert [e.recipient for e in reading.events(dsn(text, to=PATH))] == ["änn@exämple.com"]


def test_the_original_recipient_is_used_if_the_report_has_it() -> None:
    text = f"Original-Recipient: rfc822;list@example.com\n{group('member@example.net')}"
    assert [e.recipient for e in reading.events(dsn(text, to=PATH))] == ["list@example.com"]


@pytest.mark.parametrize(
    ("code", "text", "klass"),
    [
        ("5.1.1", UNKNOWN, "hard"),
        ("5.1.10", "550 5.1.10 Recipient not found", "hard"),
        ("5.1.1", "550 5.1.1 rejected because of your reputation", "unknown"),
        ("5.2.2", "552 5.2.2 Mailbox full", "soft"),
        ("4.4.7", "delivery time expired", "soft"),
        ("4.2.2", "452 4.2.2 over quota", "soft"),
        ("5.7.1", "554 5.7.1 Message rejected as spam", "policy"),
        ("5.7.26", "550 5.7.26 unauthenticated", "sender"),
        ("5.7.515", "550 5.7.515 Access denied, sending domain example.com does not meet the required level", "sender"),
        ("5.7.509", "550 5.7.509 Access denied, sending domain example.com does not pass", "sender"),
        ("5.7.30", "550 5.7.30 DKIM authentication did not pass", "sender"),
        ("5.7.1", "550 5.7.1 Client host blocked using RBL", "sender"),
        ("5.1.8", "sender domain does not exist", "sender"),
        ("5.4.4", "Host or domain name not found", "unknown"),
        ("5.4.1", "Recipient address rejected: Access denied", "unknown"),
        (None, "failed", "unknown"),
    ],
)
def test_the_class_follows_from_the_code_and_the_words(code: str | None, text: str, klass: str) -> None:
    assert bounce_class(code, text) == klass


def test_the_code_of_the_reply_overrides_a_general_status() -> None:
    assert [e.code for e in reading.events(dsn(group(status="5.0.0", said=UNKNOWN), to=PATH))] == ["5.1.1"]
    given_up = group(status="5.0.0", said="450 4.2.0 Try again: retry timeout exceeded")
    assert [(e.code, e.bounce_class) for e in reading.events(dsn(given_up, to=PATH))] == [("4.2.0", "soft")]


@pytest.mark.parametrize("recipient", ["ann@example.com", "redacted-1234@example.com", ""])
def test_a_complaint_is_read_with_and_without_its_recipient(recipient: str) -> None:
    [event] = reading.events(arf("abuse", PATH, *([f"Original-Rcpt-To: <{recipient}>"] if recipient else [])))
    assert (event.kind, event.token) == ("complained", TOKEN)
    assert event.recipient == (recipient if recipient.startswith("ann") else None)
    assert event.at == datetime(2027, 3, 8, 12, tzinfo=UTC)


@pytest.mark.parametrize(("type", "kinds"), [("fraud", ["complained"]), ("opt-out", ["unsubscribed"])])
def test_other_types_of_feedback_are_recognised(type: str, kinds: list[str]) -> None:
    assert [e.kind for e in reading.events(arf(type, PATH))] == kinds


@pytest.mark.parametrize("type", ["not-spam", "virus", "other", "auth-failure", ""])
def test_feedback_that_is_no_complaint_gives_no_event(type: str) -> None:
    assert reading.events(arf(type, PATH)) == []


def test_an_out_of_office_reply_is_no_bounce() -> None:
    raw = f"From: ann@example.com\nTo: {PATH}\nAuto-Submitted: auto-replied\nSubject: Away\n\nI am away.\n"
    assert reading.events(raw.encode()) == []


def test_a_bounce_in_another_form_names_its_recipient_and_no_class() -> None:
    raw = f"""From: MAILER-DAEMON@yahoo.example
To: {PATH}
Subject: failure notice

Hi. This is the qmail-send program at yahoo.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<ann@example.com>:
Sorry, no mailbox here by that name. (#5.1.1)
"""
    [event] = reading.events(raw.encode())
    assert (event.kind, event.recipient, event.bounce_class) == ("bounced", "ann@example.com", "unknown")


def test_a_report_that_is_nested_deep_is_unreadable() -> None:
    deep = b"".join(b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (n, n) for n in range(2_000))
    with pytest.raises(Unreadable):
        reading.events(deep)


PIECES = st.sampled_from(
    [
        *(b"Content-Type: message/delivery-status\n", b"Content-Type: multipart/report; boundary=x\n", b"--x\n"),
        *(b"--x--\n", b"\n", b"Action: failed\n", b"Final-Recipient: rfc822; a@b\n", b"Status: 5.1.1\n"),
        *(b"Content-Transfer-Encoding: base64\n", b"Last-Attempt-Date: Thu, 99 Foo\n", b"\xff\xfe\x00", b": :\n"),
        *(b"Content-Type: message/feedback-report\n", b"Feedback-Type: abuse\n", b"Content-Type: message/rfc822\n"),
        *(b"Original-Rcpt-To: <a@b>\n", b"Content-Type: text/plain; charset=nonsense\n", f"To: {PATH}\n".encode()),
    ]
)


@given(st.lists(st.one_of(PIECES, st.binary(max_size=40)), max_size=40))
def test_hostile_octets_give_events_or_are_unreadable(pieces: list[bytes]) -> None:
    try:
        found = reading.events(b"".join(pieces))
    except Unreadable:
        return
    for event in found:
        assert len(event.text) <= 500
        assert event.text.isprintable()
        assert (event.kind == "bounced") == (event.bounce_class is not None)
