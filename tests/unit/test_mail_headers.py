"""Header fields as old and new programs read them: encoded by their parts, in pieces of whole characters."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.header import decode_header, make_header
from email.policy import default
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.channels.email import headers
from actors.channels.email.mail import Mail, compose
from tests.unit.test_mail import CREATED, SENDER, TRAPS, header_lines, notification, on_one_line
from tests.unit.test_mail_fields import filenames, mail_of

anything = st.one_of(st.text(max_size=200), st.lists(st.sampled_from([*TRAPS, "<a@b>", " "]), max_size=12).map("".join))
lines = anything.map(on_one_line).filter(bool)


def value(mail: Mail, name: str) -> str:
    [found] = [line for line in header_lines(mail) if line.startswith(f"{name}: ".encode())]
    return found.decode().partition(": ")[2]


def part_headers(mail: Mail) -> str:
    """The header of the attachment, unfolded."""
    return mail.content.decode().replace("\r\n ", " ")


@pytest.mark.parametrize(
    ("send_at", "wanted"),
    [
        (CREATED + timedelta(days=2), CREATED + timedelta(days=2)),
        (CREATED - timedelta(days=2), CREATED),
        (None, CREATED),
    ],
)
def test_the_date_of_a_scheduled_mail_is_its_scheduled_time(send_at: datetime | None, wanted: datetime) -> None:
    first = notification(send_at=send_at)
    later = first._replace(claim=3, retry_count=2, late=90.0)
    assert value(compose(first, SENDER), "Date") == wanted.strftime("%a, %d %b %Y %H:%M:%S +0000")
    assert compose(first, SENDER) == compose(later, SENDER)


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        ("Größe der Liste <list.example.com>", "=?utf-8?b?R3LDtsOfZSBkZXIgTGlzdGU=?= <list.example.com>"),
        ("Größe der Liste<list.example.com>", "=?utf-8?b?R3LDtsOfZSBkZXIgTGlzdGU=?= <list.example.com>"),
        ('"Grüße" <list.example.com>', "=?utf-8?b?R3LDvMOfZQ==?= <list.example.com>"),
        ("The list <list.example.com>", "The list <list.example.com>"),
        ('"The, list" <list.example.com>', '"The, list" <list.example.com>'),
        ("<list.example.com>", "<list.example.com>"),
    ],
)
def test_the_phrase_of_a_list_id_is_encoded_and_its_id_is_not(given_: str, wanted: str) -> None:
    assert value(mail_of({"headers": {"List-ID": given_}}), "List-ID") == wanted


def test_message_ids_are_never_encoded() -> None:
    ids = "<=?utf-8?q?a?=@example.com> <b@example.com>"
    for name in ("References", "In-Reply-To"):
        assert value(mail_of({"headers": {name: ids}}), name) == ids


@settings(deadline=None)
@given(lines.filter(lambda text: "<" not in text and ">" not in text and '"' not in text))
@example("ü" * 300)
def test_a_list_id_keeps_its_id_whatever_its_name(phrase: str) -> None:
    found = value(mail_of({"headers": {"List-ID": f"{phrase} <list.example.com>"}}), "List-ID")
    encoded, _, id = found.rpartition(" ")
    assert id == "<list.example.com>"
    assert re.sub(" +", " ", str(make_header(decode_header(encoded)))).strip() == re.sub(" +", " ", phrase).strip()


@settings(deadline=None)
@given(st.from_regex(r"X-[A-Za-z0-9-]{1,60}", fullmatch=True), lines)
@example("X-A", "ü <a@b> <c@d>  x")
@example("X-A", "größe <=?utf-8?q?a?=@b>")
@example("X-" + "a" * 60, "ü" * 100)
def test_a_header_reads_back_as_it_was_given_in_lines_of_legal_length(name: str, text: str) -> None:
    mail = mail_of({"headers": {name: text}})
    assert str(make_header(decode_header(value(mail, name)))) == text
    for line in mail.content.split(b"\r\n"):
        assert len(line) <= 998
        assert b"=?utf-8?b?" not in line or len(line) <= 76
        assert line == b"" or line.strip()


@settings(deadline=None)
@given(filenames.map(on_one_line))
@example("ü" * 99)
@example("a" * 15 + "😀" * 40 + ".pdf")
@example("用户" * 40)
def test_a_long_file_name_is_split_between_characters_and_older_programs_read_it_too(name: str) -> None:
    told = [{"filename": name, "contentType": "application/pdf", "contentId": None, "size": 1}]
    mail = mail_of({"attachments": told}, [b"x"])
    pieces = re.findall(r"filename\*(?:\d+\*)?=(?:utf-8'')?([^;\r\n]*)", mail.content.decode())
    assert "".join(unquote_to_bytes(piece).decode() for piece in pieces) in ("", name)
    [part] = [part for part in message_from_bytes(mail.content).walk() if part.get_filename()]
    old = part.get_param("name", header="Content-Type")
    if pieces:
        assert str(make_header(decode_header(re.sub(r"\?=\s+=\?", "?==?", str(old))))) == name
    else:
        assert old is None
    assert max(map(len, mail.content.split(b"\r\n"))) <= 78


def test_an_ascii_file_name_is_written_only_once() -> None:
    told: list[dict[str, Any]] = [{"filename": "a.pdf", "contentType": "application/pdf", "contentId": None, "size": 1}]
    content = mail_of({"attachments": told}, [b"x"]).content
    assert content.count(b"name=") == 1
    assert headers.content_type("text/csv; charset=utf-8", "ü.csv").startswith("text/csv; charset=utf-8;\r\n name=")


def test_a_scheduled_mail_has_no_date_in_another_zone() -> None:
    at = datetime(2030, 1, 1, tzinfo=UTC)
    assert value(compose(notification(send_at=at), SENDER), "Date") == "Tue, 01 Jan 2030 00:00:00 +0000"


@settings(deadline=None)
@given(
    st.text(max_size=120).map(on_one_line).map(str.strip),
    st.sampled_from(["a@example.com", f"{'a' * 40}@{'b' * 20}.com"]),
)
@example("n" * 66, f"{'a' * 40}@{'b' * 20}.com")
@example("ü" * 60, f"{'a' * 40}@{'b' * 20}.com")
@example("\u202eevil \u2066name", "a@example.com")
def test_a_name_and_its_address_are_folded_at_the_recommended_length(name: str, address: str) -> None:
    mail = mail_of({"recipientName": name} if name else {}, recipient=address)
    assert max(map(len, mail.content.split(b"\r\n"))) <= 78
    [shown] = message_from_bytes(mail.content, policy=default)["To"].addresses
    assert shown.addr_spec == address
