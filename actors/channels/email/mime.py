"""The body of a mail (MIME, RFC 2045 and 2046): text, or text and HTML side by side, always in 7 bit.

With what is attached: images that the HTML shows beside it (RFC 2387), all else behind it.
"""

from __future__ import annotations

from base64 import encodebytes
from binascii import b2a_qp
from collections.abc import Sequence
from typing import NamedTuple

from actors.channels.email import headers

LINE_LIMIT = 998  # octets: RFC 5322, 2.1.1
_VERSION = b"MIME-Version: 1.0\r\n"


class Attached(NamedTuple):
    """A file. One with a `content_id` is shown by the HTML, which calls it `cid:content_id` (RFC 2392)."""

    filename: str
    content_type: str
    content_id: str | None
    content: bytes


def body(message: str, html: str | None, boundary: str) -> bytes:
    """MIME-Version, the content's own header, an empty line, and the content; every line ends with CRLF.

    `boundary` is made longer where the content happens to hold it, so the same content gives the
    same bytes each time.
    """
    if html is None:
        return _VERSION + _part("plain", message)
    return _VERSION + _multipart("alternative", [_part("plain", message), _part("html", html)], boundary)


def mixed(message: str, html: str | None, attached: Sequence[Attached], boundary: str) -> bytes:
    """The same with files. Of the boundaries none begins like another one: some readers look no further."""
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
    # The line end before a boundary belongs to the boundary (RFC 2046, 5.1.1).
    return opening + b"".join(b"--%b\r\n%b\r\n" % (mark, part) for part in parts) + b"--%b--\r\n" % mark


def _part(subtype: str, text: str) -> bytes:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    encoding, content = _encoded(text if text.endswith("\n") else text + "\n")
    return (
        b'Content-Type: text/%b; charset="utf-8"\r\nContent-Transfer-Encoding: %b\r\n\r\n'
        % (subtype.encode(), encoding)
        # Here, and not before encoding: b2a_qp breaks its soft line ends with what the text ends its lines.
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
    """As it is where mail may carry it so, else readable where most of it is ASCII, else base64."""
    octets = text.encode()
    if text.isascii() and max(map(len, text.split("\n"))) <= LINE_LIMIT:
        return b"7bit", octets
    # Quoted-printable triples what it quotes, base64 adds a third to all.
    if len(octets) - len(text) <= len(text) // 6:
        return b"quoted-printable", b2a_qp(octets, istext=True)
    return b"base64", encodebytes(octets)
