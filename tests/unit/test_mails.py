"""What the schema of a notification cannot say of a mail: senders, duplicates, header names, files."""

from __future__ import annotations

import time
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.mails import NONE, Mails, shown
from api.schemas import Schema
from settings import read

SETTINGS = {"MAIL_FROM": "Shop <noreply@example.com>"}
NEEDED = {"type": "email", "recipient": "ann@example.com", "message": "Hello"}
FILE = {"filename": "a.pdf", "contentType": "application/pdf", "content": "JVBERg=="}


def faults(document: dict[str, Any], senders: tuple[str, ...] = (), **settings: object) -> dict[str, str]:
    """Every fault of a document by its pointer, as the API finds them."""
    current = read(SETTINGS | {name.upper(): str(value) for name, value in settings.items()})
    found = Schema("notification", current).faults(NEEDED | document)
    found += Mails(current).read(NEEDED | document, senders, found).faults
    assert len({(fault["pointer"], fault["detail"]) for fault in found}) == len(found)
    return {fault["pointer"]: fault["detail"] for fault in found}


def kept(document: dict[str, Any]) -> tuple[str | None, tuple[bytes, ...]]:
    extras = Mails(read(SETTINGS)).read(NEEDED | document, (), [])
    assert extras.faults == []
    return extras.mail, extras.contents


def file(**values: str) -> dict[str, Any]:
    return {"attachments": [FILE | values], "html": "<p>"}


def test_a_notification_that_is_no_more_than_common_keeps_nothing() -> None:
    assert kept({"subject": "Hi", "html": "<p>"}) == (None, ())
    assert shown(None) == NONE


@pytest.mark.parametrize(
    ("sender", "senders"),
    [
        ("noreply@example.com", ()),
        ("Another name <NoReply@Example.COM>", ()),
        ("help@shop.example", ("help@shop.example",)),
        ("Help <HELP@shop.example>", ("Help@Shop.Example",)),
        ("anyone@shop.example", ("x@y.example", "@shop.example")),
        ("a@münchen.example", ("@xn--mnchen-3ya.example",)),
        ("a@xn--mnchen-3ya.example", ("@München.example",)),
    ],
)
def test_who_may_be_the_sender(sender: str, senders: tuple[str, ...]) -> None:
    assert faults({"from": sender}, senders) == {}


@pytest.mark.parametrize(
    ("sender", "senders"),
    [
        ("other@example.com", ()),
        ("noreply@example.com <other@example.com>", ()),
        ("a@sub.shop.example", ("@shop.example",)),
        ("a@evilshop.example", ("@shop.example",)),
        ("shop.example@evil.example", ("@shop.example",)),
        ("a@shop.example.evil", ("@shop.example", "a@shop.example")),
        ("a@b.example", ("", "@")),
    ],
)
def test_who_may_not_be_the_sender(sender: str, senders: tuple[str, ...]) -> None:
    detail = "must be MAIL_FROM's own address or one that this client may send from"
    assert faults({"from": sender}, senders) == {"/from": detail}


def test_without_a_mail_from_only_the_clients_senders_are_left() -> None:
    mails = Mails(read({}))
    assert mails.read({"from": "a@b.example"}, ("a@b.example",), []).faults == []
    assert mails.read({"from": "a@c.example"}, ("a@b.example",), []).faults != []


@pytest.mark.parametrize("field", ["from", "replyTo", "recipientName"])
@pytest.mark.parametrize(
    "value", ["", "A\r\nBcc: e@f.example <noreply@example.com>", "x\0y", "a\u2028b", 5, None, ["a"]]
)
def test_a_mailbox_is_one_line_with_an_address(field: str, value: Any) -> None:
    assert set(faults({field: value})) == {f"/{field}"}


@pytest.mark.parametrize(
    "value", ["nobody", "A <nobody>", "A <>", "<", ">", "A <a@b.example> c", '"a" b@c.example', "x" * 501]
)
@pytest.mark.parametrize("field", ["replyTo", "cc", "bcc"])
def test_what_has_no_address_is_pointed_at(field: str, value: str) -> None:
    pointer = f"/{field}/1" if field != "replyTo" else "/replyTo"
    assert list(faults({field: ["ok@example.com", value] if field != "replyTo" else value})) == [pointer]


@pytest.mark.parametrize(
    ("copies", "pointer"),
    [
        ({"cc": ["ann@example.com"]}, "/cc/0"),
        ({"cc": ["Ann <Ann@EXAMPLE.com>"]}, "/cc/0"),
        ({"cc": ["b@x.example", "B <b@x.example>"]}, "/cc/1"),
        ({"cc": ["b@x.example"], "bcc": ["c@x.example", "b@x.example"]}, "/bcc/1"),
        ({"cc": ["b@münchen.example"], "bcc": ["b@xn--mnchen-3ya.example"]}, "/bcc/0"),
    ],
)
def test_nobody_gets_it_twice(copies: dict[str, Any], pointer: str) -> None:
    assert faults(copies) == {pointer: "is a recipient of this mail already"}


def test_the_number_of_recipients_is_that_of_all_together() -> None:
    two = {"cc": ["b@x.example"], "bcc": ["c@x.example"]}
    assert faults(two, recipients_limit=3) == {}
    assert faults(two, recipients_limit=2) == {"/bcc": "there may be 2 recipients, cc and bcc included; there are 3"}
    assert list(faults({"cc": ["b@x.example"]}, recipients_limit=1)) == ["/cc"]


@pytest.mark.parametrize("entry", ["a@x.example", "ä" * 60 + "@" + "ü" * 60, {"a": 1}])
def test_very_many_copies_are_refused_by_their_number_alone(entry: Any) -> None:
    began = time.process_time()
    assert faults({"cc": [entry] * 300_000}) == {"/cc": "must have at most 50 entries, has 300000"}
    assert time.process_time() - began < 1  # CPU time; each looked at would take half a minute.


@pytest.mark.parametrize("name", ["X-A", "x-campaign-7", "References", "in-reply-to", "Feedback-ID", "List-ID"])
def test_a_header_that_is_allowed(name: str) -> None:
    assert faults({"headers": {name: "<a@b>"}}) == {}


@pytest.mark.parametrize(
    "name",
    [
        *("Bcc", "bcc", "To", "Cc", "From", "Sender", "Subject", "Date", "Message-ID", "Reply-To", "Return-Path"),
        *("Received", "MIME-Version", "Content-Type", "content-x", "Resent-To", "List-Unsubscribe", "Auto-Submitted"),
        "DKIM-Signature",
    ],
)
def test_a_header_that_the_system_writes_is_its_own(name: str) -> None:
    detail = "is written by this system and cannot be given"
    assert faults({"headers": {name: "x"}}, allowed_headers="*") == {f"/headers/{name}": detail}


@pytest.mark.parametrize(
    "name", ["", "Y-A", "X-", "X-A:", "X-A\r\nBcc", "X A", "X-Ä", "X-" + "a" * 61, "X-\0", "\n", "X-A\n"]
)
def test_a_header_that_is_not_allowed_is_pointed_at(name: str) -> None:
    [(pointer, detail)] = faults({"headers": {name: "x"}}).items()
    assert pointer == f"/headers/{name[:100]}"
    assert detail.startswith("is not among the headers that may be given: X-*, ")


@pytest.mark.parametrize("value", ["", "a\r\nBcc: x", "a\nb", "\0", "\x1b", "x" * 2001, 5, None, ["x"], {"x": "y"}])
def test_the_value_of_a_header_is_one_bounded_line(value: Any) -> None:
    assert list(faults({"headers": {"X-A": value}})) == ["/headers/X-A"]


def test_headers_are_counted_and_each_is_given_once() -> None:
    assert faults({"headers": {"X-A": "1", "x-a": "2"}}) == {"/headers/x-a": "is given twice"}
    many = {f"Bcc{n}\r\n": 5 for n in range(100_000)}
    assert faults({"headers": many}) == {"/headers": "must have at most 20 entries, has 100000"}


@pytest.mark.parametrize("value", ["a@b", "<a b>", "<ä@b>", "<a@b>, <c@d>", "<a@b>  <c@d>", "<a@b> "])
def test_a_reference_is_a_message_id(value: str) -> None:
    assert list(faults({"headers": {"References": value}})) == ["/headers/References"]


@given(st.binary(max_size=200))
def test_what_is_attached_is_kept_to_the_byte(content: bytes) -> None:
    _, contents = kept(file(content=b64encode(content).decode()))
    assert contents == (content,)


@pytest.mark.parametrize(
    "content",
    [
        "A",
        "AA",
        "AAA",
        "AA=",
        "=",
        "====",
        "A===",
        "AAAA=",
        "AA==AA==",
        "AA AA",
        "AA\r\nAA",
        " AAAA",
        "AAA-",
        "AA_A",
        "ÄAAA",
        "\0",
        "AAAA\n",
        "\ud800",
    ],
)
def test_what_is_no_base64_is_pointed_at(content: str) -> None:
    assert faults(file(content=content)) == {
        "/attachments/0/content": "must be base64 (RFC 4648, 4) with its padding, without line ends"
    }


def test_files_are_bounded_together_and_in_number() -> None:
    three = {"attachments": [FILE | {"content": b64encode(b"x" * n).decode()} for n in (1, 2, 3)]}
    assert faults(three, attachments_size=6, attachments_limit=3) == {}
    assert faults(three, attachments_size=5) == {"/attachments": "have 6 bytes in all, may have at most 5"}
    assert list(faults(three, attachments_limit=2)) == ["/attachments"]
    assert list(faults({"attachments": [[]] * 500_000})) == ["/attachments"]


@pytest.mark.parametrize(
    "name", ["../a", "a/b", "a\\b", ".", "..", "", " a", "a ", "a.", "a\r\nb", "a\0", "a\u2028", "x" * 201]
)
def test_a_filename_is_a_name_and_no_path(name: str) -> None:
    assert list(faults(file(filename=name))) == ["/attachments/0/filename"]


@pytest.mark.parametrize("name", ["setup.exe", "SETUP.EXE", "invoice.pdf.js", "photo\u202egpj.exe", ".a.bat"])
def test_a_program_is_refused_by_its_extension(name: str) -> None:
    assert list(faults(file(filename=name))) == ["/attachments/0/filename"]
    assert faults(file(filename=name), refused_attachments="none") == {}


@pytest.mark.parametrize("name", ["exe", "ä.pdf", ".profile", "a;b.txt", 'a"b', "=?x?=", "日本語.docx", "a b.c"])
def test_a_filename_may_be_in_any_language(name: str) -> None:
    assert faults(file(filename=name)) == {}


@pytest.mark.parametrize(
    "kind",
    [
        "application/x-msdownload",
        "Text/JavaScript",
        "text/javascript; charset=utf-8",
        "multipart/mixed",
        "message/rfc822",
        "MULTIPART/X; boundary=a",
    ],
)
def test_a_program_and_what_holds_others_are_refused_by_their_type(kind: str) -> None:
    assert list(faults(file(contentType=kind))) == ["/attachments/0/contentType"]


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "pdf",
        "a/",
        "/b",
        "a/b/c",
        "a/b\r\nX: y",
        "text/plain; charset",
        "text/plain;; a=b",
        "text/plain; name=x.exe",
        "text/plain; NAME*=x",
        'a/b; c="d',
        "ä/b",
        "a/b; c=" + "d" * 200,
    ],
)
def test_a_type_is_one_of_rfc_2045_and_carries_no_name(kind: str) -> None:
    assert list(faults(file(contentType=kind))) == ["/attachments/0/contentType"]


@pytest.mark.parametrize(
    "kind",
    ["application/pdf", "text/calendar; method=REQUEST; charset=utf-8", 'text/csv;header="a b"', "image/svg+xml"],
)
def test_a_type_may_have_parameters(kind: str) -> None:
    assert faults(file(contentType=kind)) == {}


@pytest.mark.parametrize("id", ["", "a b", "<a>", "a\r\n", "ä", "x" * 101, "a>"])
def test_a_content_id_is_plain(id: str) -> None:
    assert list(faults(file(contentId=id))) == ["/attachments/0/contentId"]


def test_a_content_id_is_of_one_file_and_needs_html() -> None:
    twice = [FILE | {"contentId": "logo"}] * 2
    assert faults({"attachments": twice, "html": "<p>"}) == {
        "/attachments/1/contentId": "is that of another attachment"
    }
    assert list(faults({"attachments": twice[:1]})) == ["/attachments/0/contentId"]


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example",
        "https://",
        "https://a.example/ä",
        "https://a.example/\r\nX: y",
        "https://a.example/>",
        "https://u:p@a.example/",
        "javascript:alert(1)",
        "https://a.example/" + "x" * 900,
        "",
        5,
    ],
)
def test_an_unsubscribe_url_is_https_and_fits_a_line(url: Any) -> None:
    assert list(faults({"unsubscribe": {"url": url}})) == ["/unsubscribe/url"]


def test_faults_of_all_fields_are_told_together() -> None:
    found = faults(
        {
            "message": "",
            "from": "a@b.example",
            "cc": [5],
            "bcc": ["ann@example.com"],
            "headers": {"Bcc": "x"},
            "unsubscribe": {},
            "attachments": [FILE | {"content": "?"}, {"filename": 1, "x": 2}],
        }
    )
    assert {"/message", "/from", "/cc/0", "/bcc/0", "/headers/Bcc", "/unsubscribe/url"} <= set(found)
    assert {"/attachments/1/filename", "/attachments/1/x", "/attachments/1/content"} <= set(found)
    assert "ann@" not in str(found)


def test_files_are_shown_without_what_they_hold() -> None:
    mail, _ = kept(file())
    assert mail == ('{"attachments":[{"filename":"a.pdf","contentType":"application/pdf","contentId":null,"size":4}]}')
