"""The body of a mail (MIME, RFC 2045 and 2046): text, or text and HTML side by side, always in 7 bit."""

from __future__ import annotations

from base64 import encodebytes
from binascii import b2a_qp

LINE_LIMIT = 998  # octets: RFC 5322, 2.1.1


def body(message: str, html: str | None, boundary: str) -> bytes:
    """MIME-Version, the content's own header, an empty line, and the content; every line ends with CRLF.

    `boundary` is made longer where the content happens to hold it, so the same content gives the
    same bytes each time.
    """
    if html is None:
        return b"MIME-Version: 1.0\r\n" + _part("plain", message)
    parts = [_part("plain", message), _part("html", html)]
    mark = boundary.encode()
    while any(mark in part for part in parts):
        mark += b"="
    opening = b'MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary="%b"\r\n\r\n' % mark
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


def _encoded(text: str) -> tuple[bytes, bytes]:
    """As it is where mail may carry it so, else readable where most of it is ASCII, else base64."""
    octets = text.encode()
    if text.isascii() and max(map(len, text.split("\n"))) <= LINE_LIMIT:
        return b"7bit", octets
    # Quoted-printable triples what it quotes, base64 adds a third to all.
    if len(octets) - len(text) <= len(text) // 6:
        return b"quoted-printable", b2a_qp(octets, istext=True)
    return b"base64", encodebytes(octets)
