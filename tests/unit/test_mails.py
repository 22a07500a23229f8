"""Checks of a mail beyond the schema of a notification: senders, duplicates, header names, files."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from actors.channels.contract import Rights
from actors.channels.email.document import NONE, Mails, shown
from api.schemas.documents import Documents
from settings import read

SETTINGS = {"MAIL_FROM": "Shop <noreply@example.com>"}
NEEDED = {"type": "email", "recipient": "ann@example.com", "message": "Hello"}
FILE = {"filename": "a.pdf", "contentType": "application/pdf", "content": "JVBERg=="}


@cache
def checks(**settings: object) -> Documents:
    """Return the checks with these settings."""
    return Documents(read(SETTINGS | {name.upper(): str(value) for name, value in settings.items()}))


def faults(document: dict[str, Any], senders: tuple[str, ...] = (), **settings: object) -> dict[str, str]:
    """Every fault of a document by its pointer, as the API finds them."""
    documents, rights = checks(**settings), Rights(senders)
    found = documents.faults(NEEDED | document, rights) or documents.read(NEEDED | document, rights).faults
    assert len({(fault["pointer"], fault["detail"]) for fault in found}) == len(found)
    return {fault["pointer"]: fault["detail"] for fault in found}


def kept(document: dict[str, Any]) -> tuple[dict[str, Any] | None, tuple[bytes, ...]]:
    content, wrong = Mails(read(SETTINGS)).read(NEEDED | document, Rights())
    assert content
    assert not wrong
    return content.options, content.attachments


def test_a_simple_notification_stores_no_options_and_no_files() -> None:
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
def test_an_allowed_sender_has_no_fault(sender: str, senders: tuple[str, ...]) -> None:
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
def test_a_sender_that_is_not_allowed_is_a_fault(sender: str, senders: tuple[str, ...]) -> None:
    detail = "must be the address of MAIL_FROM, or one of the client's `senders`"
    assert faults({"from": sender}, senders) == {"/from": detail}


def test_without_a_mail_from_only_the_clients_senders_are_left() -> None:
    mails = Mails(read({}))
    assert mails.read({"from": "a@b.example"}, Rights(("a@b.example",))).faults == []
    assert mails.read({"from": "a@c.example"}, Rights(("a@b.example",))).faults != []


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
def test_an_entry_without_an_address_is_a_fault(field: str, value: str) -> None:
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
def test_a_recipient_named_twice_is_a_fault(copies: dict[str, Any], pointer: str) -> None:
    assert faults(copies) == {pointer: "is a recipient of this mail already: leave it out"}


def test_recipient_cc_and_bcc_are_limited_together() -> None:
    two = {"cc": ["b@x.example"], "bcc": ["c@x.example"]}
    assert faults(two, recipients_limit=3) == {}
    assert faults(two, recipients_limit=2) == {
        "/bcc": "gives 3 recipients with `recipient`, cc and bcc; at most 2 are allowed"
    }
    assert list(faults({"cc": ["b@x.example"]}, recipients_limit=1)) == ["/cc"]


class Counted(list[Any]):
    """List that counts how many of its entries have been read."""

    read = 0

    def __iter__(self) -> Iterator[Any]:
        for entry in super().__iter__():
            self.read += 1
            yield entry

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        self.read += len(found) if isinstance(key, slice) else 1
        return found


@pytest.mark.parametrize("entry", ["a@x.example", "ä" * 60 + "@" + "ü" * 60, {"a": 1}])
def test_very_many_copies_are_refused_without_checking_each(entry: Any) -> None:
    copies = Counted([entry] * 300_000)
    assert faults({"cc": copies}) == {"/cc": "must have at most 50 entries, has 300000"}
    assert copies.read <= 51


@pytest.mark.parametrize("name", ["X-A", "x-campaign-7", "References", "in-reply-to", "Feedback-ID", "List-ID"])
def test_an_allowed_header_has_no_fault(name: str) -> None:
    assert faults({"headers": {name: "<a@b>"}}) == {}


@pytest.mark.parametrize(
    "name",
    [
        *("Bcc", "bcc", "To", "Cc", "From", "Sender", "Subject", "Date", "Message-ID", "Reply-To", "Return-Path"),
        *("Received", "MIME-Version", "Content-Type", "content-x", "Resent-To", "List-Unsubscribe", "Auto-Submitted"),
        "DKIM-Signature",
    ],
)
def test_a_header_that_the_system_writes_is_refused(name: str) -> None:
    detail = "is a header that this system writes: leave it out"
    assert faults({"headers": {name: "x"}}, allowed_headers="*") == {f"/headers/{name}": detail}


@pytest.mark.parametrize(
    "name", ["", "Y-A", "X-", "X-A:", "X-A\r\nBcc", "X A", "X-Ä", "X-" + "a" * 61, "X-\0", "\n", "X-A\n"]
)
def test_a_header_that_is_not_allowed_is_refused_with_a_pointer(name: str) -> None:
    [(pointer, detail)] = faults({"headers": {name: "x"}}).items()
    assert pointer == f"/headers/{name[:100]}"
    assert detail.startswith("is not an allowed header; ALLOWED_HEADERS has X-*, ")


PROVIDERS = [
    *("X-SMTPAPI", "x-smtpapi", "X-MC-SendAt", "X-Mailgun-Drop-Message", "X-SES-SOURCE-ARN", "X-MSYS-API", "X-PM-Tag"),
    *("X-Mailin-Tag", "X-Sib-Sandbox", "X-MJ-TemplateID", "X-Mailjet-Campaign", "X-SparkPost-Options", "X-Google-Id"),
    *("X-PostmarkAttachments", "X-Resend-Tag", "Resend-Tag", "X-SendGrid-Category", "X-SG-EID", "X-ElasticEmail-Pool"),
    *("X-Mandrill-Key", "X-Envelope-To", "X-EnvelopeTo", "X-MS-Exchange-Organization-SCL", "X-Originating-IP"),
    *("X-SMTP2GO-Tag", "X-Virtual-MTA", "X-Postal-Tag", "X-MT-Category", "X-Microsoft-Antispam", "X-Gm-Message-State"),
    *("X-Job", "x-envid", "X-APIHEADER", "X-xsMailingId", "X-TM-Tags"),
]


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("allowed", ["X-*", "*", "X-*, Resend-*", "X-S*, X-M*"])
def test_a_header_that_steers_a_provider_needs_its_exact_name(name: str, allowed: str) -> None:
    [(pointer, detail)] = faults({"headers": {name: "x"}}, allowed_headers=allowed).items()
    assert pointer == f"/headers/{name}"
    assert allowed in ("X-*", "X-S*, X-M*") or f"add {name} to ALLOWED_HEADERS" in detail
    assert faults({"headers": {name: "x"}}, allowed_headers=f"{allowed}, {name.upper()}") == {}


@pytest.mark.parametrize("name", ["X-Mailer", "X-Entity-Ref-ID", "X-Priority", "X-Campaign", "X-PMX", "X-Message-Tag"])
def test_other_x_headers_are_allowed(name: str) -> None:
    assert faults({"headers": {name: "x"}}) == {}


@pytest.mark.parametrize("name", ["X-\u212aey", "X-\u017fign", "\u212aeep"])
def test_a_header_name_beyond_ascii_is_refused(name: str) -> None:
    assert list(faults({"headers": {name: "x"}}, allowed_headers="*")) == [f"/headers/{name}"]


@pytest.mark.parametrize("value", ["größe", "größe <l\u00efste.example.com>", "ü <a> <b>", "<a b> ü"])
def test_a_list_id_with_letters_beyond_ascii_has_an_ascii_id(value: str) -> None:
    assert list(faults({"headers": {"List-ID": value}})) == ["/headers/List-ID"]


@pytest.mark.parametrize("value", ["", "a\r\nBcc: x", "a\nb", "\0", "\x1b", "x" * 2001, 5, None, ["x"], {"x": "y"}])
def test_a_header_value_that_is_long_or_has_a_line_break_is_refused(value: Any) -> None:
    assert list(faults({"headers": {"X-A": value}})) == ["/headers/X-A"]


def test_too_many_or_repeated_headers_are_refused() -> None:
    assert faults({"headers": {"X-A": "1", "x-a": "2"}}) == {"/headers/x-a": "is given twice"}
    many = {f"Bcc{n}\r\n": 5 for n in range(100_000)}
    assert faults({"headers": many}) == {"/headers": "must have at most 20 entries, has 100000"}


@pytest.mark.parametrize("value", ["a@b", "<a b>", "<ä@b>", "<a@b>, <c@d>", "<a@b>  <c@d>", "<a@b> "])
def test_references_must_be_message_ids(value: str) -> None:
    assert list(faults({"headers": {"References": value}})) == ["/headers/References"]


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
def test_an_unsubscribe_url_without_https_or_too_long_for_a_line_is_refused(url: Any) -> None:
    assert list(faults({"unsubscribe": {"url": url}})) == ["/unsubscribe/url"]


def test_faults_of_all_fields_are_reported_together() -> None:
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
