"""Text of a mail, in any charset that Python knows."""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from contextlib import suppress

from cli.submission.refusal import MailRefused

# Names that mail programs write and Python does not know.
NAMES = {
    "windows-874": "cp874",
    "x-mac-roman": "mac_roman",
    "x-sjis": "cp932",
    "x-gbk": "gb18030",
    "x-euc-jp": "euc_jp",
}
# Charsets that programs name when they mean a larger one, as browsers read them (WHATWG Encoding Standard, 4.2).
LARGER = {
    "us-ascii": "utf-8",
    "ascii": "utf-8",
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc-kr": "cp949",
    "ks_c_5601-1987": "cp949",
    "shift_jis": "cp932",
    "iso-8859-9": "cp1254",
}
# Codecs of Python that are no charsets of mail. Some take long for hostile input.
NO_CHARSETS = {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined"}
_WORD = re.compile(r"=\?([A-Za-z0-9_.:+-]{1,40})(?:\*[A-Za-z0-9-]*)?\?([BbQq])\?([^?\s]*)\?=")


def decoded(octets: bytes, charset: str, place: str) -> str:
    """Return the text of `octets`; raise MailRefused if they are not in this charset, or nobody knows it.

    `place` says which part of the mail they are, for the refusal.
    """
    name = charset.strip().lower()
    known = NAMES.get(name, name)
    try:
        if codecs.lookup(known).name.replace("-", "_") in NO_CHARSETS:
            raise LookupError(known)
        for codec in (LARGER.get(name, known), known):
            with suppress(UnicodeError):
                return octets.decode(codec)
    except (LookupError, ValueError):
        raise MailRefused(f"{place}: the charset {charset[:40]!r} is unknown: send it in utf-8") from None
    raise MailRefused(f"{place}: it is not in the charset {charset[:40]!r} that it names")


def unencoded(field: str, place: str) -> str:
    """Return a header field's value with its encoded words (RFC 2047) decoded."""
    text, end = "", 0
    waiting: tuple[str, bytes] | None = None  # of adjacent words in one charset, which may share a character
    for word in _WORD.finditer(field):
        octets = _octets(word[2], word[3])
        if octets is None:
            continue
        between, end = field[end : word.start()], word.end()
        charset = word[1].lower()
        if waiting and not between.strip():
            if waiting[0] == charset:
                waiting = charset, waiting[1] + octets
                continue
            between = ""
        text += _word(waiting, place) + between
        waiting = charset, octets
    return text + _word(waiting, place) + field[end:]


def _word(word: tuple[str, bytes] | None, place: str) -> str:
    return decoded(word[1], word[0], place) if word else ""


def _octets(encoding: str, text: str) -> bytes | None:
    try:
        if encoding in "Bb":
            return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        return binascii.a2b_qp(text, header=True)
    except ValueError:
        return None
