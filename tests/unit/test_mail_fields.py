"""Optional fields of mails are read back by Python's email package exactly as they were requested."""

from __future__ import annotations

import re
from email import message_from_string
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.channels import Refused
from actors.channels.email.mail import Mail, compose
from actors.channels.email.mailboxes import Mailbox, holds_addresses, split
from db.records import Claimed
from tests.unit.test_mail import (
    SENDER,
    addresses,
    anything,
    bodies,
    header_lines,
    notification,
    on_one_line,
    on_the_wire,
    shown,
    text_of,
)

patient = settings(deadline=None)
# Of what a client sends nothing with a control character is accepted in one line; a name has no outer spaces.
lines = anything.map(on_one_line)
names = lines.map(str.strip).filter(lambda name: not (len(name) > 1 and name[0] == name[-1] == '"'))
# Python takes quotes and brackets off a name, also where they were encoded and so belong to it (RFC 2231).
filenames = lines.map(str.strip).filter(lambda name: name and name[0] + name[-1] not in ('""', "<>"))
unquoted = addresses.filter(lambda address: not address.startswith('"'))
mailboxes = st.builds(Mailbox, names, unquoted)
contents = st.binary(max_size=300)
types = st.sampled_from(["image/png", "text/csv; charset=utf-8", "application/octet-stream"])
headers = st.dictionaries(st.from_regex(r"X-[A-Za-z0-9-]{1,60}", fullmatch=True), lines.filter(bool), max_size=5)
QUOTED, BACKSLASHED = r'(["\\])', r"\\\1"
HTML = '<img src="cid:logo">'
TWO = [
    {"filename": "logo.gif", "contentType": "image/gif", "contentId": "logo", "size": 3},
    {"filename": "Rechnung ä.pdf", "contentType": "application/pdf", "contentId": None, "size": 4},
]


def written(one: Mailbox) -> str:
    """Format a mailbox as a client writes it: in quotes where another address may be meant."""
    name = f'"{re.sub(QUOTED, BACKSLASHED, one.name)}"' if holds_addresses(one.name) else one.name
    return f"{name} <{one.address}>" if name else one.address


def mail_of(given: dict[str, Any], files: list[bytes] | None = None, **values: Any) -> Mail:
    return compose(notification(mail=given, **values), SENDER, files or [])


def read(mail: Mail) -> EmailMessage:
    """Parse a mail as a receiver does: as UTF-8 where RFC 6532 allows it, as ASCII otherwise.

    `mail.utf8` may be due to a blind copy.
    """
    message = message_from_string(mail.content.decode("utf-8" if mail.utf8 else "ascii"), policy=default)
    assert isinstance(message, EmailMessage)
    return message


def raw(mail: Mail, name: str) -> str:
    [value] = [line.partition(b": ")[2] for line in header_lines(mail) if line.startswith(name.encode() + b": ")]
    return value.decode()


@patient
@given(mailboxes, mailboxes)
def test_from_and_reply_to_are_in_the_header_and_from_is_the_envelope_sender(
    sender: Mailbox, reply_to: Mailbox
) -> None:
    mail = mail_of({"from": written(sender), "replyTo": written(reply_to)})
    assert mail.sender == on_the_wire(sender.address)
    for header, wanted in (("From", sender), ("Reply-To", reply_to)):
        value = raw(mail, header)
        assert shown(value) == wanted.name if wanted.name else value == on_the_wire(wanted.address)
        [parsed] = read(mail)[header].addresses
        assert parsed.addr_spec == on_the_wire(wanted.address)
    assert mail.utf8 == (not (mail.sender + on_the_wire(reply_to.address)).isascii())


@patient
@given(names.filter(bool), unquoted)
def test_the_name_of_the_recipient_is_in_the_header(name: str, address: str) -> None:
    mail = mail_of({"recipientName": name}, recipient=address)
    assert shown(raw(mail, "To")) == name
    assert mail.recipients == (on_the_wire(address),)
    assert [a.addr_spec for a in read(mail)["To"].addresses] == [on_the_wire(address)]


@patient
@given(st.lists(mailboxes, max_size=5), st.lists(mailboxes, max_size=5))
def test_copies_are_in_the_header_and_blind_copies_only_in_the_envelope(cc: list[Mailbox], bcc: list[Mailbox]) -> None:
    copies = {"cc": [written(one) for one in cc], "bcc": [written(one) for one in bcc]}
    mail = mail_of(copies)
    assert mail.recipients == ("a@example.com", *(on_the_wire(one.address) for one in (*cc, *bcc)))
    parsed = read(mail)["Cc"].addresses if cc else ()
    assert [one.addr_spec for one in parsed] == [on_the_wire(one.address) for one in cc]
    without = mail_of({"cc": copies["cc"]})
    assert mail.content == without.content
    assert mail.utf8 == (not "".join(mail.recipients).isascii())


def test_no_blind_copy_leaves_a_trace() -> None:
    mail = mail_of({"bcc": ["Hidden Person <hidden@secret.example>"]})
    assert not re.search(rb"hidden|secret|bcc", mail.content, re.IGNORECASE)
    assert mail.recipients == ("a@example.com", "hidden@secret.example")


@patient
@given(headers)
@example({"X-Token": "x" * 900, "X-Words": "word " * 60 + "end", "X-Long": "y" * 2000})
def test_custom_headers_are_in_the_mail(given_: dict[str, str]) -> None:
    mail = mail_of({"headers": given_})
    for name, value in given_.items():
        [read_back] = [v for k, v in header_items(mail) if k == name]
        assert str(make_header(decode_header(read_back))) == value
    assert max(map(len, mail.content.split(b"\r\n"))) <= 998


def header_items(mail: Mail) -> list[tuple[str, str]]:
    return [(k.decode(), v.decode()) for k, _, v in (line.partition(b": ") for line in header_lines(mail))]


@pytest.mark.parametrize("value", ["f" * 300, "campaign:1 customer:2 " + "z" * 200, "<a@b> <c@d>"])
def test_a_machine_readable_header_is_not_encoded(value: str) -> None:
    assert dict(header_items(mail_of({"headers": {"Feedback-ID": value}})))["Feedback-ID"] == value


def test_one_click_unsubscription_has_both_headers() -> None:
    url = "https://example.com/leave?list=7&who=" + "x" * 800
    found = dict(header_items(mail_of({"unsubscribe": {"url": url}})))
    assert found["List-Unsubscribe"] == f"<{url}>"
    assert found["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


@patient
@given(st.lists(st.tuples(filenames, types, contents), min_size=1, max_size=3), bodies, st.none() | bodies)
@example(
    [("=?utf-8?q?hi?=", "image/png", b""), ('a"b;c', "image/png", b".\r\n"), ("ü" * 200, "image/png", b"x")], "", ""
)
@example([("x" * 200, "image/png", b"--=_5.60ddf71e76a40\r\n")], "--m=_5.60ddf71e76a40--\r\n=_5", "m=_5.60ddf71e76a40")
def test_attachments_arrive_unchanged(files: list[tuple[str, str, bytes]], text: str, html: str | None) -> None:
    told = [{"filename": f, "contentType": t, "contentId": None, "size": len(c)} for f, t, c in files]
    mail = mail_of({"attachments": told}, [c for _, _, c in files], message=text, html=html)
    message = read(mail)
    found = list(message.iter_attachments())
    assert [(part.get_filename(), part.get_payload(decode=True)) for part in found] == [(f, c) for f, _, c in files]
    assert [part.get_content_type() for part in found] == [t.partition(";")[0] for _, t, _ in files]
    assert text_of(message, "plain").removesuffix("\n") == re.sub("\r\n?", "\n", text).removesuffix("\n")
    assert not [defect for part in message.walk() for defect in part.defects]
    body = mail.content.partition(b"\r\n\r\n")[2]
    assert body.isascii()
    assert max(map(len, body.split(b"\r\n"))) <= 998


def test_an_image_of_the_html_follows_it_and_another_file_comes_last() -> None:
    mail = mail_of({"attachments": TWO}, [b"GIF", b"%PDF"], html=HTML)
    message = read(mail)
    kinds = [part.get_content_type() for part in message.walk()]
    assert kinds == [
        *("multipart/mixed", "multipart/alternative", "text/plain"),
        *("multipart/related", "text/html", "image/gif", "application/pdf"),
    ]
    related = message.get_body(("related",))
    assert related is not None
    assert related.get_param("type") == "text/html"
    [logo] = [part for part in message.walk() if part["Content-ID"]]
    assert (logo["Content-ID"], logo.get_content_disposition()) == ("<logo>", "inline")
    boundaries = [b for part in message.walk() if (b := part.get_boundary())]
    assert not [1 for a in boundaries for b in boundaries if a is not b and a.startswith(b)]


def test_a_mail_with_every_field_has_the_same_bytes_in_every_attempt() -> None:
    given = {"cc": ["B <b@x.example>"], "headers": {"X-A": "ü", "X-B": "b"}, "attachments": TWO}
    first = notification(mail=given, html=HTML)
    later = first._replace(claim=2, retry_count=1, mail=dict(given))
    assert compose(first, SENDER, [b"GIF", b"%PDF"]) == compose(later, SENDER, [b"GIF", b"%PDF"])


def test_a_mail_whose_attachments_were_deleted_is_refused() -> None:
    with pytest.raises(Refused, match="its attachments are missing"):
        mail_of({"attachments": TWO}, [b"GIF"], html=HTML)


@pytest.mark.parametrize("field", ["from", "replyTo", "cc", "bcc"])
@pytest.mark.parametrize("address", ["a@b\r\nX: y", "A\r\nBcc: e@f.example <a@b.example>", "a b", "", "a@"])
def test_a_line_break_in_an_address_adds_no_header(field: str, address: str) -> None:
    given = {field: [address] if field in ("cc", "bcc") else address}
    try:
        mail = mail_of(given)
    except Refused:
        return
    assert [name for name, _ in header_items(mail)].count("Bcc") == 0


@patient
@given(names, unquoted)
def test_the_api_and_the_worker_parse_a_mailbox_to_the_same_address(name: str, address: str) -> None:
    text = written(Mailbox(name, address))
    assert split(text) == (name, address)
    assert Mailbox.parse(text) == (name, on_the_wire(address))


def test_a_simple_mail_is_composed_to_the_recorded_bytes() -> None:
    plain: Claimed = notification(html="<p>Hi</p>")
    assert compose(plain, SENDER).content.replace(b"\r\n", b"\n") == (
        b'From: "Shop" <noreply@example.com>\nTo: a@example.com\nSubject: Hi\n'
        b"Date: Mon, 01 Jan 2024 10:00:00 +0000\nMessage-ID: <5.60ddf71e76a40@example.com>\n"
        b"Auto-Submitted: auto-generated\nMIME-Version: 1.0\n"
        b'Content-Type: multipart/alternative; boundary="=_5.60ddf71e76a40"\n\n'
        b'--=_5.60ddf71e76a40\nContent-Type: text/plain; charset="utf-8"\nContent-Transfer-Encoding: 7bit\n\nHello\n\n'
        b'--=_5.60ddf71e76a40\nContent-Type: text/html; charset="utf-8"\nContent-Transfer-Encoding: 7bit\n\n'
        b"<p>Hi</p>\n\n--=_5.60ddf71e76a40--\n"
    )
