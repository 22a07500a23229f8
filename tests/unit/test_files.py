"""Attachments in a request: strict base64, bounds, names, types, and what is kept of them."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_mails import FILE, faults, kept


def file(**values: str) -> dict[str, Any]:
    return {"attachments": [FILE | values], "html": "<p>"}


@given(st.binary(max_size=200))
def test_attachments_are_stored_byte_for_byte(content: bytes) -> None:
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
def test_invalid_base64_is_pointed_at(content: str) -> None:
    assert faults(file(content=content)) == {
        "/attachments/0/content": "must be base64 (RFC 4648, 4) with padding and without line breaks"
    }


def test_the_total_size_and_number_of_attachments_are_limited() -> None:
    three = {"attachments": [FILE | {"content": b64encode(b"x" * n).decode()} for n in (1, 2, 3)]}
    assert faults(three, attachments_size=6, attachments_limit=3) == {}
    assert faults(three, attachments_size=5) == {
        "/attachments": "have 6 bytes together; at most 5 are allowed (ATTACHMENTS_SIZE)"
    }
    assert list(faults(three, attachments_limit=2)) == ["/attachments"]
    assert list(faults({"attachments": [[]] * 500_000})) == ["/attachments"]


@pytest.mark.parametrize(
    "name", ["../a", "a/b", "a\\b", ".", "..", "", " a", "a ", "a.", "a\r\nb", "a\0", "a\u2028", "x" * 201]
)
def test_a_filename_with_a_path_is_refused(name: str) -> None:
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
def test_a_program_or_an_archive_is_refused_by_its_type(kind: str) -> None:
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
def test_a_malformed_content_type_or_one_with_a_name_is_refused(kind: str) -> None:
    assert list(faults(file(contentType=kind))) == ["/attachments/0/contentType"]


@pytest.mark.parametrize(
    "kind",
    ["application/pdf", "text/calendar; method=REQUEST; charset=utf-8", 'text/csv;header="a b"', "image/svg+xml"],
)
def test_a_type_may_have_parameters(kind: str) -> None:
    assert faults(file(contentType=kind)) == {}


@pytest.mark.parametrize("id", ["", "a b", "<a>", "a\r\n", "ä", "x" * 101, "a>"])
def test_a_content_id_with_special_characters_is_refused(id: str) -> None:
    assert list(faults(file(contentId=id))) == ["/attachments/0/contentId"]


def test_a_content_id_is_unique_and_needs_html() -> None:
    twice = [FILE | {"contentId": "logo"}] * 2
    assert faults({"attachments": twice, "html": "<p>"}) == {
        "/attachments/1/contentId": "is the contentId of another attachment too"
    }
    assert list(faults({"attachments": twice[:1]})) == ["/attachments/0/contentId"]


def test_attachments_are_shown_without_their_content() -> None:
    mail, _ = kept(file())
    shown = {"filename": "a.pdf", "contentType": "application/pdf", "contentId": None, "size": 4}
    assert mail == {"attachments": [shown]}
