"""The composed body has the expected bytes, equal to those of Python's library where both choose the same encoding."""

from __future__ import annotations

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP

from hypothesis import example, given
from hypothesis import strategies as st

from actors.channels.email.mime import LINE_LIMIT, body

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
PLAIN = st.text(st.characters(min_codepoint=32, max_codepoint=126) | st.just("\n"), min_size=1, max_size=900)


@given(PLAIN)
@example("Hello")
@example("From me\n.\n..dots\n")
def test_plain_text_is_composed_to_the_same_bytes_as_by_the_library(text: str) -> None:
    message = EmailMessage(SMTP.clone(cte_type="7bit", max_line_length=LINE_LIMIT))
    message.set_content(text)
    theirs, _, content = message.as_bytes().partition(b"\r\n\r\n")
    ours = body(text, None, "b")
    assert ours.endswith(b"\r\n\r\n" + content)
    assert sorted(ours.partition(b"\r\n\r\n")[0].splitlines()) == sorted(theirs.splitlines())


@given(TEXT, TEXT)
@example("=_5.1", "--=_5.1--")
@example("é", "e" * 2000)
@example("\r\r\n\n", "x\r")
def test_the_text_and_html_parts_are_read_back_unchanged_but_for_line_ends(text: str, html: str) -> None:
    message = message_from_bytes(body(text, html, "=_5.1"))
    parts = message.get_payload()
    assert isinstance(parts, list)
    for part, wanted in zip(parts, (text, html), strict=True):
        content = part.get_payload(decode=True).decode().replace("\r\n", "\n")
        lines = wanted.replace("\r\n", "\n").replace("\r", "\n")
        assert content == (lines if lines.endswith("\n") else lines + "\n")


@given(TEXT, st.none() | TEXT)
@example("x" * 10_000, None)
@example("ü" * 10_000, "<p>" + "ä a " * 5000)
def test_a_body_is_ascii_in_lines_of_legal_length(text: str, html: str | None) -> None:
    content = body(text, html, "b")
    assert content.isascii()
    assert content.endswith(b"\r\n")
    lines = content.split(b"\r\n")
    assert all(b"\r" not in line and b"\n" not in line and len(line) <= LINE_LIMIT for line in lines)


def test_mostly_ascii_text_stays_readable_and_other_text_is_base64() -> None:
    assert b"Gr=C3=BC=C3=9Fe aus dem Norden, wie immer" in body("Grüße aus dem Norden, wie immer", None, "b")
    assert b"Content-Transfer-Encoding: base64" in body("Привет", None, "b")
