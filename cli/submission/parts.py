"""The MIME parts of a mail as fields of a notification: text, HTML and attachments."""

from __future__ import annotations

import mimetypes
import re
from base64 import b64encode
from collections.abc import Iterator
from email.errors import InvalidBase64CharactersDefect, InvalidBase64LengthDefect
from email.message import Message
from email.utils import collapse_rfc2231_value
from typing import Any
from urllib.parse import unquote

from cli.submission import charsets, plain_text
from cli.submission.mail import text_of
from cli.submission.refusal import MailRefused

ENCODINGS = ("", "7bit", "8bit", "binary", "base64", "quoted-printable")
# The service composes each mail anew, which would break what these protect.
SEALED = ("multipart/signed", "multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime")
HTML = 1_000_000  # characters, of which a text is made in a second
BODIES = ("text/plain", "text/html")
IMAGES = 1_000  # images that the HTML refers to, each counted once; a mail has 200 parts at most
# Reference to a part by its Content-ID (RFC 2392), inside an attribute or a url() of CSS.
_CID = re.compile(r"""cid:([^\s"'<>()]{1,998})""")


def fields(mail: Message) -> dict[str, Any]:
    """Return `message`, `html` and `attachments` of a mail. Raises MailRefused."""
    found = _Parts()
    found.take(mail)
    html, text = found.html, found.text
    if text is None:
        # Most programs that send only HTML have nothing better; the API wants a text in each mail.
        text = _text_of(html or "")
    chosen: dict[str, Any] = {"message": text or "\n"}
    if html:
        chosen["html"] = html
    if found.files:
        shown = _shown_ids(html or "")
        chosen["attachments"] = [_attachment(part, n, shown) for n, part in enumerate(found.files, 1)]
    return chosen


def _text_of(html: str) -> str:
    if len(html) > HTML:
        raise MailRefused(f"The mail has HTML of more than {HTML} characters and no text: send a text/plain part too")
    return plain_text.of(html)


def _shown_ids(html: str) -> set[str]:
    """Return the Content-IDs that the HTML refers to, as written and with their percent-encoding decoded."""
    written: set[str] = set()
    for reference in _CID.finditer(html):
        written.add(reference[1])
        if len(written) > IMAGES:
            raise MailRefused(f"The HTML of the mail refers to more than {IMAGES} images (cid:): send fewer")
    return written | {unquote(id) for id in written}


class _Parts:
    """Parts of a mail: the first texts are its body, all others are files."""

    def __init__(self) -> None:
        self.text: str | None = None
        self.html: str | None = None
        self.files: list[Message] = []

    def take(self, part: Message) -> None:
        """Sort a part, and those that it contains."""
        kind = part.get_content_type()
        if kind in SEALED:
            raise MailRefused(f"The mail is {kind}: the service composes mails anew, so a signature would not hold")
        if kind == "multipart/alternative":
            for child in _children(part):
                self._alternative(child)
        elif part.get_content_maintype() == "multipart":
            for child in _children(part):
                self.take(child)
        elif part.is_multipart() or part.get_content_maintype() == "message":
            raise MailRefused(f"The mail has a part of the type {kind}: attach it as application/octet-stream")
        elif kind in BODIES and self.text is None and self.html is None and _is_body(part):
            self._body(kind, part)
        else:
            self.files.append(part)

    def _alternative(self, part: Message) -> None:
        kind = part.get_content_type()
        if part.get_content_maintype() == "multipart":
            inner = _Parts()
            inner.take(part)
            if (self.text is not None and inner.text is not None) or (self.html is not None and inner.html is not None):
                raise MailRefused("The mail has two alternatives of one type: send one text/plain and one text/html")
            self.text = inner.text if self.text is None else self.text
            self.html = inner.html if self.html is None else self.html
            self.files += inner.files
        elif (kind == "text/plain" and self.text is None) or (kind == "text/html" and self.html is None):
            self._body(kind, part)
        else:
            raise MailRefused(f"The mail has the alternative {kind}: send one text/plain and one text/html")

    def _body(self, kind: str, part: Message) -> None:
        text = charsets.decoded(_octets(part), _charset(part), f"The {kind} part").replace("\r\n", "\n")
        if kind == "text/html":
            self.html = text
        else:
            self.text = text


def _children(part: Message) -> Iterator[Message]:
    children = part.get_payload()
    if not isinstance(children, list):
        raise MailRefused(f"The mail has a {part.get_content_type()} without parts: its boundary is wrong")
    yield from (child for child in children if isinstance(child, Message))


def _is_body(part: Message) -> bool:
    return part.get_content_disposition() != "attachment" and part.get_filename() is None


def _charset(part: Message) -> str:
    return collapse_rfc2231_value(part.get_param("charset") or "us-ascii")


def _octets(part: Message) -> bytes:
    encoding = str(part.get("Content-Transfer-Encoding", "")).partition(";")[0].strip().lower()
    if encoding not in ENCODINGS:
        raise MailRefused(f"The mail has a part in the Content-Transfer-Encoding {encoding[:40]!r}: use base64")
    octets = part.get_payload(decode=True)
    if any(isinstance(one, InvalidBase64CharactersDefect | InvalidBase64LengthDefect) for one in part.defects):
        raise MailRefused("The mail has a part whose base64 is broken")
    return octets if isinstance(octets, bytes) else b""


def _attachment(part: Message, number: int, shown: set[str]) -> dict[str, str]:
    kind = part.get_content_type()
    name = part.get_filename()
    unnamed = f"attachment-{number}{mimetypes.guess_extension(kind) or ''}"
    file = {
        "filename": text_of(name, "filename") if name else unnamed,
        "contentType": kind + "".join(_parameters(part)),
        "content": b64encode(_octets(part)).decode(),
    }
    id = str(part.get("Content-ID", "")).strip().removeprefix("<").removesuffix(">")
    if id in shown:
        file["contentId"] = id
    return file


def _parameters(part: Message) -> Iterator[str]:
    """Yield the parameters of a Content-Type, but not those that say where the part begins and how it is called."""
    for name, value in (part.get_params() or [])[1:]:
        if name.lower() not in ("name", "boundary") and isinstance(value, str) and value:
            plain = all(character.isalnum() or character in "_.+-" for character in value)
            yield f"; {name}={value}" if plain else f'; {name}="{value}"'
