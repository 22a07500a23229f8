"""The MIME parts of a mail: text, HTML, attachments, and those that the API has no place for."""

from __future__ import annotations

import gc
import sys
from base64 import b64decode
from email.message import EmailMessage, Message
from email.policy import SMTP
from typing import Any

import pytest

from cli.submission import plain_text
from cli.submission.mail import LINES, MULTIPARTS, PARAMETERS, PARTS, parse
from cli.submission.parts import IMAGES, fields
from cli.submission.refusal import MailRefused


def read(message: EmailMessage) -> dict[str, Any]:
    return fields(parse(message.as_bytes(policy=SMTP)))


def mixed(*parts: str, kind: str = "mixed") -> bytes:
    """A mail of these parts, each with its header."""
    inner = "".join(f"--b\r\n{part}\r\n" for part in parts)
    return f"Content-Type: multipart/{kind}; boundary=b\r\n\r\n{inner}--b--\r\n".encode()


def refusal(content: bytes) -> str:
    with pytest.raises(MailRefused) as refused:
        fields(parse(content))
    return refused.value.text


TEXT = "Content-Type: text/plain\r\n\r\nHello"
HTML = "Content-Type: text/html\r\n\r\n<p>Hello"
FILE = "Content-Type: image/gif\r\nContent-ID: <a@b>\r\n\r\nGIF"


def test_text_html_images_and_files_become_fields() -> None:
    message = EmailMessage()
    message.set_content("Grüße ☀\n" + "a" * 2_000)
    message.add_alternative('<img src="cid:a%40b"><img src="cid:c">', subtype="html")
    html = message.get_payload()[1]  # type: ignore[index]
    html.add_related(b"GIF", "image", "gif", cid="<a@b>", filename="a.gif")  # type: ignore[union-attr]
    html.add_related(b"PNG", "image", "png", cid="<unused>")  # type: ignore[union-attr]
    message.add_attachment(bytes(range(256)), "application", "pdf", filename="Rechnung ä.pdf")
    message.add_attachment("a;ü\n", subtype="csv", params={"header": "present"})

    found = read(message)

    assert found["message"] == "Grüße ☀\n" + "a" * 2_000 + "\n"
    assert found["html"] == '<img src="cid:a%40b"><img src="cid:c">\n'
    image, unused, report, table = found["attachments"]
    assert (image["filename"], image["contentType"], image["contentId"]) == ("a.gif", "image/gif", "a@b")
    assert (unused["filename"], "contentId" in unused) == ("attachment-2.png", False)
    assert (report["filename"], b64decode(report["content"])) == ("Rechnung ä.pdf", bytes(range(256)))
    assert table["contentType"] == "text/csv; charset=utf-8; header=present"
    assert b64decode(table["content"]).decode() == "a;ü\r\n"


def test_a_mail_with_html_alone_gets_a_text() -> None:
    found = fields(parse(HTML.encode()))

    assert found == {"message": "Hello\n", "html": "<p>Hello"}


def test_a_mail_without_a_body_gets_an_empty_line_as_text() -> None:
    assert fields(parse(b"Subject: Hi\r\n\r\n")) == {"message": "\n"}
    [file] = fields(parse(b"Content-Type: application/pdf\r\n\r\n%PDF"))["attachments"]
    assert file["filename"] == "attachment-1.pdf"


def test_a_second_text_becomes_an_attachment() -> None:
    found = fields(parse(mixed(TEXT, "Content-Type: text/plain\r\n\r\nFooter", HTML)))

    assert found["message"] == "Hello"
    assert [(file["filename"], b64decode(file["content"])) for file in found["attachments"]] == [
        ("attachment-1.txt", b"Footer"),
        ("attachment-2.html", b"<p>Hello"),
    ]


def test_a_text_with_a_file_name_becomes_an_attachment() -> None:
    part = "Content-Type: text/plain; name=a.txt\r\nContent-Disposition: inline; filename=a.txt\r\n\r\nA"

    found = fields(parse(mixed(part, TEXT)))

    assert (found["message"], found["attachments"][0]["filename"]) == ("Hello", "a.txt")


def test_html_with_a_file_may_be_an_alternative() -> None:
    inner = "Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n" + HTML + "\r\n--c\r\n"
    inner += "Content-Type: application/pdf\r\n\r\n%PDF\r\n--c--\r\n"

    found = fields(parse(mixed(TEXT, inner, kind="alternative")))

    assert (found["message"], found["html"], len(found["attachments"])) == ("Hello", "<p>Hello", 1)


@pytest.mark.parametrize(
    ("name", "filename"),
    [
        ('"=?utf-8?q?=C3=A4?=.txt"', "ä.txt"),
        ('"a b.txt"', "a b.txt"),
        ('"ä.txt"', "ä.txt"),
    ],
)
def test_a_file_name_is_decoded_however_it_is_written(name: str, filename: str) -> None:
    part = f"Content-Type: application/pdf\r\nContent-Disposition: attachment; filename={name}\r\n\r\nA"

    [file] = fields(parse(mixed(TEXT, part)))["attachments"]

    assert file["filename"] == filename


REFUSED = {
    "a signed mail": (mixed(TEXT, kind="signed"), "The mail is multipart/signed"),
    "an encrypted mail": (mixed(TEXT, kind="encrypted"), "The mail is multipart/encrypted"),
    "S/MIME": (b"Content-Type: application/pkcs7-mime\r\n\r\nA", "The mail is application/pkcs7-mime"),
    "a mail in the mail": (
        mixed(TEXT, "Content-Type: message/rfc822\r\n\r\nSubject: a\r\n\r\nb"),
        "The mail has a part of the type message/rfc822",
    ),
    "an invitation": (
        mixed(TEXT, "Content-Type: text/calendar\r\n\r\nBEGIN:VCALENDAR", kind="alternative"),
        "The mail has the alternative text/calendar",
    ),
    "two texts": (mixed(TEXT, TEXT, kind="alternative"), "The mail has the alternative text/plain"),
    "no boundary": (b"Content-Type: multipart/mixed\r\n\r\nA", "The mail has a multipart/mixed without parts"),
    "another encoding": (
        b"Content-Transfer-Encoding: x-uuencode\r\n\r\nA",
        "The mail has a part in the Content-Transfer-Encoding 'x-uuencode'",
    ),
    "broken base64": (b"Content-Transfer-Encoding: base64\r\n\r\nQQ=Q!", "The mail has a part whose base64 is broken"),
    "too many parts": (mixed(*[TEXT] * PARTS), f"The mail has more than {PARTS} MIME parts"),
}


@pytest.mark.parametrize(("content", "text"), REFUSED.values(), ids=REFUSED)
def test_parts_that_the_api_has_no_field_for_are_refused_by_name(content: bytes, text: str) -> None:
    assert refusal(content).startswith(text)


def test_the_nesting_of_parts_is_limited() -> None:
    nested = "A"
    for level in range(MULTIPARTS + 1):
        nested = f"Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n{nested}\r\n--b{level}--\r\n"

    assert refusal(nested.encode()) == f"The mail has more than {MULTIPARTS} multipart parts"


def test_the_nesting_of_attached_mails_is_limited() -> None:
    assert refusal(b"Content-Type: message/rfc822\r\n\r\n" * PARTS) == f"The mail has more than {PARTS} MIME parts"


def test_the_number_of_lines_is_limited() -> None:
    assert refusal(b"\r\n" * (LINES + 1)).startswith(f"The mail has more than {LINES} lines")


@pytest.mark.parametrize("name", ["Content-Type", "Content-Disposition"])
def test_the_number_of_parameters_of_a_field_is_limited(name: str) -> None:
    allowed = f"{name}: text/plain{'; a=b' * PARAMETERS}\r\n\r\nHello"

    assert fields(parse(allowed.encode()))
    assert refusal(allowed.replace("\r\n", ";\r\n", 1).encode()) == (
        f"The header field {name} has more than {PARAMETERS} parameters (semicolons)"
    )


def test_the_number_of_images_in_the_html_is_limited() -> None:
    images = "".join(f"<img src=cid:{number}>" for number in range(IMAGES))

    assert fields(parse(mixed(f"{HTML}{images}{images}", FILE)))["attachments"]
    text = refusal(mixed(f"{HTML}{images}<img src=cid:x>", FILE))
    assert text == f"The HTML of the mail refers to more than {IMAGES} images (cid:): send fewer"


def with_images(files: int, references: int) -> Message:
    """A mail of HTML with references to images, and of files with a Content-ID."""
    html = HTML + "".join(f"<img src='cid:{number}%40b'>" for number in range(references))
    return parse(mixed(html, *["Content-ID: <9@b>\r\n\r\nA"] * files))


def calls(mail: Message) -> int:
    """Count the calls of functions, of Python and of C, that taking a mail apart needs."""
    counted = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    gc.disable()  # A collection would call what others have registered with it.
    sys.setprofile(count)
    try:
        fields(mail)
    finally:
        sys.setprofile(None)
        gc.enable()
    return counted


def test_a_file_costs_the_same_however_many_images_the_html_has() -> None:
    calls(with_images(1, 1))  # the first call reads the table of MIME types

    few, many = (calls(with_images(20, number)) - calls(with_images(10, number)) for number in (10, 500))

    assert few == many


@pytest.mark.parametrize(("reference", "found"), [("a@b", True), ("a%40b", True), ("a@bc", False), ("za@b", False)])
def test_an_image_is_found_by_its_whole_content_id(reference: str, found: bool) -> None:
    html = f"{HTML}<p style=\"background: url('cid:{reference}')\">"

    [file] = fields(parse(mixed(html, FILE)))["attachments"]

    assert ("contentId" in file) is found


@pytest.mark.parametrize(
    "piece", ["<", "<!--", "<a ", "<a href='", "</a", "&", "<![", "<script>", '<a href="x" ', "<p>"]
)
def test_malformed_html_of_any_length_is_converted_to_text(piece: str) -> None:
    assert plain_text.of(piece * (500_000 // len(piece))).endswith("\n")


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<h1>A</h1><p>b &amp; c<br>d</p>", "A\n\nb & c\nd\n"),
        ('<p>See <a href="https://a.example/?b=1">here</a>.', "See here (https://a.example/?b=1).\n"),
        ("<head><title>T</title></head><style>a{}</style><script>1</script>A", "A\n"),
        ("<head><body>A", "A\n"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\n\nc\n"),
        ('<img src="cid:a" alt="Logo"> a\n  b', "Logo a b\n"),
        ("", "\n"),
        ("<" * 50, None),
    ],
)
def test_the_text_of_html_is_its_visible_text(html: str, text: str | None) -> None:
    assert plain_text.of(html) == text or text is None
