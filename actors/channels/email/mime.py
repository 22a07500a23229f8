"""Write the body of a mail (MIME, RFC 2045 and 2046): text, or text and HTML as alternatives, always in 7 bit.

Images that the HTML shows are related to it (RFC 2387); all other attachments follow.
"""

from __future__ import annotations

from base64 import encodebytes
from binascii import b2a_qp
from collections.abc import Sequence
from typing import NamedTuple

from actors.channels.email import headers

LINE_LIMIT = 998  # octets (RFC 5322, section 2.1.1)
_VERSION = b"MIME-Version: 1.0\r\n"


class Attached(NamedTuple):
    """Attached file. A file with a `content_id` is shown by the HTML under the URL `cid:content_id` (RFC 2392)."""

    filename: str
    content_type: str
    content_id: str | None
    content: bytes


def body(message: str, html: str | None, boundary: str) -> bytes:
    """Return MIME-Version, the headers of the content, an empty line, and the content. Lines end with CRLF.

    The same arguments give the same bytes: `boundary` is not random, but extended if the content contains it.
    """
    if html is None:
        return _VERSION + _part("plain", message)
    return _VERSION + _multipart("alternative", [_part("plain", message), _part("html", html)], boundary)


def mixed(message: str, html: str | None, attached: Sequence[Attached], boundary: str) -> bytes:
    """Return the body with attached files.

    No boundary is a prefix of another one, because some readers compare only the beginning.
    """
    shown = [_file(file) for file in attached if file.content_id is not None]
    behind = [_file(file) for file in attached if file.content_id is None]
    entity = _part("plain", message)
    if html is not None:
        page = _part("html", html)
        if shown:
            page = _multipart('related; type="text/html"', [page, *shown], f"r{boundary}")
        entity = _multipart("alternative", [entity, page], boundary)
    return _VERSION + (_multipart("mixed", [entity, *behind], f"m{boundary}") if behind else entity)


def _multipart(subtype: str, parts: Sequence[bytes], boundary: str) -> bytes:
    mark = boundary.encode()
    while any(mark in part for part in parts):
        mark += b"="
    opening = b'Content-Type: multipart/%b; boundary="%b"\r\n\r\n' % (subtype.encode(), mark)
    # The line end before a boundary belongs to the boundary (RFC 2046, section 5.1.1).
    return opening + b"".join(b"--%b\r\n%b\r\n" % (mark, part) for part in parts) + b"--%b--\r\n" % mark


def _part(subtype: str, text: str) -> bytes:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    encoding, content = _encoded(text if text.endswith("\n") else text + "\n")
    return (
        b'Content-Type: text/%b; charset="utf-8"\r\nContent-Transfer-Encoding: %b\r\n\r\n'
        % (subtype.encode(), encoding)
        # After encoding, because b2a_qp uses the line ends of the text for its soft line breaks.
        + content.replace(b"\n", b"\r\n")
    )


def _file(file: Attached) -> bytes:
    kind = "attachment" if file.content_id is None else "inline"
    header = f"Content-Type: {headers.content_type(file.content_type, file.filename)}\r\n"
    header += "Content-Transfer-Encoding: base64\r\n"
    if file.content_id is not None:
        header += f"Content-ID: <{file.content_id}>\r\n"
    header += f"Content-Disposition: {headers.disposition(kind, file.filename)}\r\n\r\n"
    return header.encode() + encodebytes(file.content).replace(b"\n", b"\r\n")


def _encoded(text: str) -> tuple[bytes, bytes]:
    """Return the transfer encoding and the encoded text: 7bit if possible, else the shorter one.

    Mostly ASCII text becomes quoted-printable, which people can read; any other text becomes base64.
    """
    octets = text.encode()
    if text.isascii() and max(map(len, text.split("\n"))) <= LINE_LIMIT:
        return b"7bit", octets
    # Quoted-printable triples the octets that it quotes, base64 adds a third to all octets.
    if len(octets) - len(text) <= len(text) // 6:
        return b"quoted-printable", b2a_qp(octets, istext=True)
    return b"base64", encodebytes(octets)
