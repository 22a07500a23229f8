"""Mails as notifications: header fields, recipients, and what is refused."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.submission import notifications
from cli.submission.refusal import MailRefused

ANN, BOB, EVE = "ann@example.com", "bob@example.com", "eve@example.com"


def read(*lines: str | bytes, to: tuple[str, ...] = (ANN,), body: bytes = b"Hello\r\n") -> Any:
    """The only notification of a mail with these header lines."""
    documents = several(*lines, to=to, body=body)
    assert len(documents) == 1
    return documents[0]


def several(*lines: str | bytes, to: tuple[str, ...], body: bytes = b"Hello\r\n") -> list[Any]:
    document = json.loads(notifications.read(raw(*lines, body=body), to).body)
    return list(document.get("items", [document]))


def raw(*lines: str | bytes, body: bytes = b"Hello\r\n") -> bytes:
    header = [line.encode() if isinstance(line, str) else line for line in lines]
    return b"".join(line + b"\r\n" for line in header) + b"\r\n" + body


def refusal(*lines: str | bytes, to: tuple[str, ...] = (ANN,), body: bytes = b"Hello\r\n") -> str:
    with pytest.raises(MailRefused) as refused:
        several(*lines, to=to, body=body)
    return refused.value.text


def test_a_mail_without_a_header_is_a_notification_for_its_envelope() -> None:
    assert read() == {"type": "email", "recipient": ANN, "message": "Hello\n"}


TEXTS = {
    "utf-8": "Grüße ☀",
    "UTF-8": "Grüße ☀",
    "iso-8859-1": "Grüße",
    "windows-1251": "Привет",
    "koi8-r": "Привет",
    "iso-2022-jp": "日本語",
    "shift_jis": "日本語",
    "gb2312": "中文",
    "big5": "中文",
    "euc-kr": "한국어",
    "ks_c_5601-1987": "한국어",
    "iso-8859-8": "שלום",
    "windows-874": "ไทย",
    "x-mac-roman": "Grüße",
    "utf-16": "Grüße",
    "utf-7": "Grüße",
}
PYTHONS = {"windows-874": "cp874", "x-mac-roman": "mac_roman"}


@pytest.mark.parametrize(("charset", "text"), TEXTS.items())
def test_a_subject_and_a_text_in_any_charset_are_decoded(charset: str, text: str) -> None:
    octets = text.encode(PYTHONS.get(charset, charset))
    in_base64 = f"=?{charset}?B?{b64encode(octets).decode()}?="
    quoted = f"=?{charset}?q?{''.join(f'={octet:02X}' for octet in octets)}?="
    lines = f"Content-Type: text/plain; charset={charset}", "Content-Transfer-Encoding: base64"

    found = read(f"Subject: Re: {in_base64}", f"To: {quoted} <{ANN}>", *lines, body=b64encode(octets))

    assert (found["subject"], found["recipientName"], found["message"]) == (f"Re: {text}", text, text)


def test_a_charset_name_that_mail_programs_misuse_is_read_as_its_superset() -> None:
    assert read("Content-Type: text/plain; charset=iso-8859-1", body=b"\x80 5")["message"] == "€ 5"
    assert read("Content-Type: text/plain; charset=us-ascii", body="Grüße".encode())["message"] == "Grüße"
    assert read(body="Grüße".encode())["message"] == "Grüße"


@pytest.mark.parametrize("charset", ["klingon", "idna", "unicode escape", "hex", "rot13", "undefined", "utf-8\0"])
def test_an_unknown_charset_is_refused_and_named(charset: str) -> None:
    text = refusal(f'Content-Type: text/plain; charset="{charset}"', body=b"\xff")

    assert text.startswith(f"The text/plain part: the charset {charset!r} is unknown")


def test_octets_that_are_not_in_the_charset_are_refused() -> None:
    text = refusal("Content-Type: text/plain; charset=utf-8", body=b"\xff")

    assert text == "The text/plain part: it is not in the charset 'utf-8' that it names"
    assert refusal(b"Subject: Gr\xfc\xdfe").startswith("The header field Subject is neither ASCII nor UTF-8")
    assert refusal("Subject: =?utf-8?q?=ff?=").startswith("The header field Subject: it is not in the charset")


def test_encoded_words_may_share_a_character_and_be_folded() -> None:
    assert read("Subject: =?utf-8?q?Gr=C3?=\r\n =?utf-8?q?=BC=C3=9Fe?= aus\r\n  =?utf-8?b?S8O2bG4?=")["subject"] == (
        "Grüße aus  Köln"
    )


def test_text_that_only_resembles_an_encoded_word_is_kept() -> None:
    for text in ("=?utf-8?x?a?=", "=?utf-8?b?a?b?=", "=?=", "1 =? 2"):
        assert read(f"Subject: {text}")["subject"] == text


def test_trace_and_mime_header_fields_are_not_copied() -> None:
    own = ["Received: from a", "Received: from b", "Return-Path: <a@b.example>", "Date: today", "MIME-Version: 1.0"]
    own += ["DKIM-Signature: v=1", "ARC-Seal: i=1", "Auto-Submitted: auto-generated", "Bcc: eve@example.com"]
    own += ["Delivered-To: a@b.example", "Authentication-Results: none", "Content-Language: en"]

    assert read(*own) == read()


def test_every_other_header_field_is_passed_to_the_api() -> None:
    found = read("X-Campaign: spring", "User-Agent: mutt", "References: <a@b>\r\n\t<c@d>", "Auto-Submitted: no")

    assert found["headers"] == {
        "X-Campaign": "spring",
        "User-Agent": "mutt",
        "References": "<a@b> <c@d>",
        "Auto-Submitted": "no",
    }


@pytest.mark.parametrize("name", ["Subject", "From", "Reply-To", "X-Priority", "X-Campaign", "X-Idempotency-Key"])
def test_a_field_that_is_given_twice_is_refused_and_named(name: str) -> None:
    assert name in refusal(f"{name}: a@b.example", f"{name}: c@d.example")


def test_a_one_click_unsubscription_becomes_the_field_unsubscribe() -> None:
    link, post = "List-Unsubscribe: <https://example.com/u?1>", "List-Unsubscribe-Post: List-Unsubscribe=One-Click"

    assert read(link, post)["unsubscribe"] == {"url": "https://example.com/u?1"}
    assert read(link)["headers"] == {"List-Unsubscribe": "<https://example.com/u?1>"}
    assert "List-Unsubscribe" in read(f"{link}, <mailto:u@example.com>", post)["headers"]


PRIORITIES = {"1": "high", "2 (High)": "high", "3": "normal", "5": "bulk", "Bulk": "bulk", "normal": "normal"}


@pytest.mark.parametrize(("value", "priority"), PRIORITIES.items())
def test_x_priority_is_the_priority(value: str, priority: str) -> None:
    assert read(f"X-Priority: {value}")["priority"] == priority


def test_tags_may_be_in_one_field_or_in_several() -> None:
    assert read("X-Tag: a, b", "x-tag: b", "X-Tag: =?utf-8?q?=C3=BC?=")["tags"] == ["a", "b", "ü"]


def test_the_first_address_in_to_is_the_recipient_and_the_others_are_copies() -> None:
    found = read(f"To: Ann <{ANN}>, {BOB}", 'Cc: "Doe, \\"E\\"" <EVE@example.com>', to=(EVE, "x@example.com", BOB, ANN))

    assert (found["recipient"], found["recipientName"]) == (ANN, "Ann")
    assert found["cc"] == [BOB, '"Doe, \\"E\\"" <EVE@example.com>']
    assert found["bcc"] == ["x@example.com"]


@pytest.mark.parametrize("line", ["To: undisclosed-recipients:;", "To: root", "To: list@example.com", "Subject: Hi"])
def test_envelope_recipients_outside_the_header_get_separate_notifications(line: str) -> None:
    assert [one["recipient"] for one in several(line, to=(ANN, BOB))] == [ANN, BOB]
    assert all("cc" not in one and "bcc" not in one for one in several(line, to=(ANN, BOB)))


@pytest.mark.parametrize("value", ["(", '""', "(ann@example.com)", "((((((" * 400, ", ,", "<>", "@"])
@pytest.mark.parametrize("name", ["To", "Cc", "From", "Reply-To"])
def test_a_field_in_which_no_address_can_be_read_is_refused(name: str, value: str) -> None:
    folded = "\r\n ".join(value[n : n + 900] for n in range(0, len(value), 900))
    assert refusal(f"{name}: {folded}").startswith(f"The header field {name} cannot be read")


@pytest.mark.parametrize("value", ["", " ", "Undisclosed recipients:;", "undisclosed-recipients: ;", "a:;\r\nCc: b:;"])
def test_a_field_or_group_without_members_is_no_fault(value: str) -> None:
    assert [one["recipient"] for one in several(f"To: {value}", to=(ANN, BOB))] == [ANN, BOB]


def test_a_mail_whose_header_names_addresses_outside_the_envelope_is_refused() -> None:
    text = refusal(f"To: {ANN}, {BOB}", f"Cc: {EVE}")

    assert text.startswith(f"To and Cc name {BOB} and 1 more, but RCPT TO does not")


@pytest.mark.parametrize("value", ["a@b.example, c@d.example", "", "nobody:;"])
def test_a_from_field_with_several_mailboxes_is_refused(value: str) -> None:
    assert refusal(f"From: {value}").startswith("The header field From must have one mailbox")


def test_the_key_depends_on_message_id_recipients_and_content_only() -> None:
    def key(*lines: str, to: tuple[str, ...] = (ANN,)) -> str:
        return notifications.read(raw("Message-ID: <1@a.example>", *lines), to).key

    assert key() == key("Date: tomorrow", "Received: from elsewhere")
    assert len({key(), key("Subject: Hi"), key(to=(BOB,)), notifications.read(raw(), (ANN,)).key}) == 4
    assert notifications.read(raw(), (ANN,)).key != notifications.read(raw(), (ANN,)).key
    assert key("X-Idempotency-Key: order 42") == "order 42"
    assert refusal("X-Idempotency-Key: =?utf-8?q?=C3=BC?=").startswith("X-Idempotency-Key must have")


LIMITS = {
    "comments": (["To: " + "(" * 900 + "\r\n " + "(" * 900], "The header field To cannot be read: write"),
    "many fields": (["X-A: a"] * 2_001, "The mail has more than 2000 header fields"),
    "the header": (["X-A: " + "a" * 900] * 120, "The header of the mail has more than"),
    "a field": (["Subject: " + "\r\n ".join(["a" * 900] * 20)], "The header field Subject has more than"),
    "quotation marks": (["To: " + "\r\n ".join(['"' * 900] * 20)], "The header field To has more than"),
}


@pytest.mark.parametrize(("lines", "text"), LIMITS.values(), ids=LIMITS)
def test_the_size_of_the_header_is_limited(lines: list[str], text: str) -> None:
    assert refusal(*lines).startswith(text)


@pytest.mark.parametrize("body", [b"a\nb\r\n", b"a\rb\r\n", b"a\r", b"\n.\r\n", b"a\r\r\n"])
def test_a_line_end_that_is_not_crlf_is_refused(body: bytes) -> None:
    assert refusal(body=body).startswith("The mail has a CR or LF that is alone")


names = st.sampled_from(["From", "To", "Cc", "Subject", "Content-Type", "Content-Transfer-Encoding", "X-Tag", "X-A"])
values = st.text(max_size=60) | st.text('"<>()[]@:;,\\=?utf-8bq= ', max_size=60)
octets = st.binary(max_size=200)


def tried(content: bytes, *to: str) -> notifications.Notifications | MailRefused:
    try:
        return notifications.read(content, to)
    except MailRefused as refused:
        return refused


@given(st.lists(st.tuples(names, values), max_size=8), octets)
def test_any_header_and_body_are_parsed_or_refused(fields: list[tuple[str, str]], body: bytes) -> None:
    lines = (f"{name}: {value}".encode("utf-8", "replace") for name, value in fields)

    found = tried(raw(*lines, body=body), ANN)

    if isinstance(found, MailRefused):
        assert found.reply.isascii()
        assert found.reply.isprintable()
    else:
        assert json.loads(found.body)
        assert found.key.isprintable()


@given(st.binary(max_size=400))
def test_any_bytes_are_parsed_or_refused(content: bytes) -> None:
    found = tried(content.replace(b"\n", b"\r\n"), ANN, BOB)

    assert isinstance(found, MailRefused) or found.number in (1, 2)
