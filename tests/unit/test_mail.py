"""Mails are read back by Python's email package and say what was asked, whatever that was.

What may differ: line ends become LF and a body ends with one; in a subject or a display name each
character that is or may be taken for a line end or a control character becomes a space. Left out
are lone surrogates and U+0000 in a body: PostgreSQL stores neither.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from email import message_from_string
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default
from email.utils import parsedate_to_datetime
from typing import Any

import idna
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.channels import Refused
from actors.channels.email.identity import unique
from actors.channels.email.mail import Mail, compose
from actors.channels.email.mailboxes import Mailbox, mail_from
from db.records import Claimed
from settings import SettingsError

NAMES = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted"]
MIME = {"Content-Type", "Content-Transfer-Encoding", "MIME-Version"}
CREATED = datetime(2024, 1, 1, 10, 0, 0, 123456, tzinfo=UTC)
patient = settings(deadline=None)  # A busy machine is no fault.
SENDER = Mailbox("Shop", "noreply@example.com")
ATEXT = "abcXYZ019!#$%&'*+-/=?^_`{|}~"
TRAPS = [
    *("=?utf-8?q?hi?=", "=?", "?=", "\r\nBcc: x@y.example\r\n\r\n", "\n", "\r", "\0", "\x0b", "\x1c", "\x85", "\u2028"),
    *("\u2029", " ", "  ", "\t", "\xa0", "\u3000", "\ufeff", "\u200d", "e\u0301", "👨‍👩‍👧", "ﷺ", "\U0010ffff"),
    *("ü" * 60, "x" * 90, "word and another ", "\n.\n", "\nFrom ", *'"\\<>@,;:()=-'),
]

anything = st.one_of(st.text(max_size=300), st.lists(st.sampled_from(TRAPS), max_size=20).map("".join))
bodies = anything.filter(lambda text: "\0" not in text)
atoms = st.text(ATEXT, min_size=1, max_size=20)
dotted = st.lists(atoms, min_size=1, max_size=3).map(".".join)
quoted = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30).map(
    lambda text: '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
)
international = st.text(st.characters(categories=["L", "N"], exclude_characters="@"), min_size=1, max_size=15)
labels = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True).filter(lambda label: label[2:4] != "--")
domains = st.one_of(
    st.lists(labels, min_size=1, max_size=5).map(".".join),
    st.sampled_from(["münchen.example", "faß.example", "例え.jp", "παράδειγμα.ελ", "xn--mnchen-3ya.de", "[192.0.2.1]"]),
)
odd_moments = st.integers(-9, 9).map(lambda microseconds: timedelta(microseconds=microseconds))
addresses = st.builds("{}@{}".format, st.one_of(dotted, quoted, international), domains)


def notification(**values: Any) -> Claimed:
    plain = Claimed(5, 1, "email", "a@example.com", "Hi", "Hello", None, "resend", 0, CREATED)
    return plain._replace(**values)


def read(mail: Mail) -> EmailMessage:
    """Parse a mail as a receiver does: as UTF-8 where RFC 6532 allows it, as ASCII otherwise."""
    message = message_from_string(mail.content.decode("utf-8" if mail.utf8 else "ascii"), policy=default)
    assert isinstance(message, EmailMessage)
    return message


def text_of(message: EmailMessage, subtype: str) -> str:
    part = message.get_body((subtype,))
    assert isinstance(part, EmailMessage)
    return str(part.get_content()).replace("\r\n", "\n")


def on_one_line(text: str) -> str:
    return "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in text)


def with_line_feeds(text: str) -> str:
    lines = re.sub("\r\n?", "\n", text)
    return lines if lines.endswith("\n") else lines + "\n"


def unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text


def on_the_wire(address: str) -> str:
    local, _, domain = address.rpartition("@")
    return f"{local}@{domain if domain.isascii() else idna.encode(domain, uts46=True).decode()}"


def header_lines(mail: Mail) -> list[bytes]:
    """The unfolded lines of the header, by nothing but the rules of RFC 5322."""
    header = mail.content.partition(b"\r\n\r\n")[0]
    return re.sub(rb"\r\n(?=[ \t])", b"", header).split(b"\r\n")


def raw(mail: Mail, name: str) -> str:
    [value] = [line.partition(b": ")[2] for line in header_lines(mail) if line.startswith(name.encode() + b": ")]
    return value.decode()


@patient
@given(anything, bodies, st.none() | bodies)
def test_a_mail_has_the_subject_text_and_html_of_its_notification(subject: str, text: str, html: str | None) -> None:
    message = read(compose(notification(subject=subject, message=text, html=html), SENDER))
    assert message["Subject"] == on_one_line(subject)
    assert text_of(message, "plain") == with_line_feeds(text)
    if html is not None:
        assert text_of(message, "html") == with_line_feeds(html)
    assert not message.defects


@patient
@given(addresses, addresses)
@example('"john doe"@example.com', '"a@b"@example.com')
@example('"<>"@example.com', '"\\"\\\\"@example.com')
@example("jösé@münchen.example", "a@例え.jp")
def test_addresses_arrive_as_they_are(recipient: str, sender: str) -> None:
    mail = compose(notification(recipient=recipient), mail_from(sender))
    assert (mail.sender, mail.recipients[0]) == (on_the_wire(sender), on_the_wire(recipient))
    assert (raw(mail, "From"), raw(mail, "To")) == (mail.sender, mail.recipients[0])
    assert mail.utf8 == (not (mail.sender + mail.recipients[0]).isascii())
    message = read(mail)
    for name, address in (("From", mail.sender), ("To", mail.recipients[0])):
        [parsed] = message[name].addresses
        local, _, domain = address.rpartition("@")
        assert (parsed.username, parsed.domain) == (unquoted(local), domain)


@patient
@given(anything)
def test_a_display_name_may_be_anything(name: str) -> None:
    sender = mail_from('"' + re.sub(r'(["\\])', r"\\\1", name) + '" <noreply@example.com>')
    assert sender == (name, "noreply@example.com")
    mail = compose(notification(), sender)
    [parsed] = read(mail)["From"].addresses
    assert parsed.addr_spec == "noreply@example.com"
    # Not parsed.display_name: before Python 3.14 it puts spaces between encoded words (RFC 2047, 6.2 forbids that).
    assert shown(raw(mail, "From")) == on_one_line(name)


def shown(mailbox: str) -> str:
    """The display name of a From header."""
    phrase = mailbox.rpartition("<")[0].rstrip(" ")
    if phrase.startswith('"'):
        return unquoted(phrase)
    return str(make_header(decode_header(phrase)))


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("a@example.com", "", "a@example.com"),
        ("<a@example.com>", "", "a@example.com"),
        ("  Shop <a@example.com> ", "Shop", "a@example.com"),
        ("Foo, Inc. <a@example.com>", "Foo, Inc.", "a@example.com"),
        ('"Foo, \\"Inc.\\"" <a@münchen.example>', 'Foo, "Inc."', "a@xn--mnchen-3ya.example"),
        ('Shop <"a <b>"@localhost>', "Shop", '"a <b>"@localhost'),
        ("A <b> <a@example.com>", "A <b>", "a@example.com"),
    ],
)
def test_mail_from_is_an_address_with_or_without_a_name(text: str, name: str, address: str) -> None:
    assert mail_from(text) == (name, address)


@pytest.mark.parametrize(
    "text",
    [
        "Shop",
        "@example.com",
        "a@",
        "a b@example.com",
        "a@example.com, b@example.com",
        "a@b <a@b> c",
        "a\x85@b",
        "a@-ü.de",
    ],
)
def test_a_mail_from_without_an_address_stops_the_start(text: str) -> None:
    with pytest.raises(SettingsError, match="MAIL_FROM"):
        mail_from(text)


@patient
@given(anything, anything, bodies, st.none() | bodies, addresses)
def test_a_composed_mail_is_a_valid_internet_message(
    subject: str, name: str, text: str, html: str | None, recipient: str
) -> None:
    wanted = notification(subject=subject, message=text, html=html, recipient=recipient)
    mail = compose(wanted, Mailbox(name, "noreply@example.com"))
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", mail.content)
    assert max(map(len, mail.content.split(b"\r\n"))) <= 998  # RFC 5322, 2.1.1
    assert b"\0" not in mail.content
    header, _, body = mail.content.partition(b"\r\n\r\n")
    assert body.isascii()
    assert header.isascii() or mail.utf8
    names = [line.partition(b": ")[0].decode() for line in header_lines(mail)]
    assert names[: len(NAMES)] == NAMES
    assert {"MIME-Version", "Content-Type"} <= set(names[len(NAMES) :]) <= MIME
    assert len(names) == len(set(names))


@patient
@given(anything)
def test_header_lines_are_folded_at_the_recommended_length(subject: str) -> None:
    mail = compose(notification(subject=subject), SENDER)
    assert max(map(len, mail.content.split(b"\r\n"))) <= 78  # recommended by RFC 5322, 2.1.1


def test_a_plain_subject_stays_readable_on_the_wire() -> None:
    subject = "Your order of 24 December, no. 4711-0815, has left our warehouse in Munich and is on its way to you"
    mail = compose(notification(subject=subject), SENDER)
    assert f"Subject: {subject[:60]}".encode() in mail.content
    assert b"=?" not in mail.content


@pytest.mark.parametrize("recipient", ["a\r\nBcc: b@example.com", "a@b\r\nX: y", "a\0@b", "a\x85@b.c", '"\u2028"@b'])
def test_an_address_with_a_line_end_is_refused(recipient: str) -> None:
    with pytest.raises(Refused, match="control character"):
        compose(notification(recipient=recipient), SENDER)


@pytest.mark.parametrize("recipient", ["", "a", "@example.com", "a@☃☃-.example", "ü" * 127 + "@b", "a" * 253 + "@b"])
def test_an_impossible_address_is_refused(recipient: str) -> None:
    with pytest.raises(Refused):
        compose(notification(recipient=recipient), SENDER)


def test_a_mail_has_the_same_bytes_in_every_attempt() -> None:
    first = notification()
    assert compose(first, SENDER) == compose(first._replace(claim=2, retry_count=1), SENDER)


@patient
@given(st.integers(1, 2**63 - 1), st.integers(1, 2**63 - 1), st.timedeltas(timedelta(), timedelta(30_000)), odd_moments)
def test_each_notification_has_its_own_message_id(one: int, other: int, age: timedelta, later: timedelta) -> None:
    first = notification(id=one, created_at=CREATED + age)
    second = notification(id=other, created_at=CREATED + age + later)
    same = (one, later) == (other, timedelta())
    assert (unique(first) == unique(second)) == same
    [identified] = re.findall(rb"Message-ID: <(.*)@.*>", compose(first, SENDER).content)
    assert identified == unique(first).encode()
    assert re.fullmatch(r"[0-9]+\.[0-9a-f]+", unique(first))


def test_the_date_of_a_mail_comes_from_the_notification() -> None:
    message = read(compose(notification(), SENDER))
    assert parsedate_to_datetime(message["Date"]) == CREATED.replace(microsecond=0)
