"""Values of header fields (RFC 5322): folded where they are plain ASCII, else in encoded words (RFC 2047).

Written by hand, because Python's email library reads again what it is given: a subject of
`=?utf-8?q?hi?=` arrives as `hi`, a quoted local part as another one, and characters such as U+2028
are taken for line ends.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from urllib.parse import quote

from actors.channels.mailboxes import CONTROL, Mailbox

LINE = 66  # characters of a header line behind its name: 78 is what RFC 5322, 2.1.1 recommends in all
WORD = 39  # octets in an encoded word; with the longest name before it, a line of at most 76 (RFC 2047, 2)
LONGEST_WORD = 900  # characters without a space; a line may have 998 (RFC 5322, 2.1.1)

# Runs of whole words, as long as a line should be.
_RUN = re.compile(rf"\S.{{0,{LINE - 1}}}(?!\S)")
# The same, a longer word being a line of its own.
_LONG_RUN = re.compile(rf"\S.{{0,{LINE - 1}}}(?!\S)|\S{{1,{LONGEST_WORD}}}(?!\S)")
# Characters and percent-encoded octets, as many as fit in a line beside ` filename*0*=utf-8''`.
_PIECE = re.compile(r"(?:%..|[^%]){1,16}")


def unstructured(text: str) -> str:
    """For people: folded between words where it is plain ASCII, else encoded."""
    return _folded(text, _RUN)


def custom(text: str) -> str:
    """For programs too, of which many cannot decode: a long word stays as it is, for as long as a line may be."""
    return _folded(text, _LONG_RUN)


def mailbox(one: Mailbox) -> str:
    """A display name and its address."""
    return f"{_phrase(one.name)} <{one.address}>" if one.name else one.address


def mailboxes(several: Iterable[Mailbox]) -> str:
    """Each on a line of its own."""
    return ",\r\n ".join(map(mailbox, several))


def disposition(kind: str, filename: str) -> str:
    """Content-Disposition (RFC 2183); a name that is not plain and short in extended notation (RFC 2231)."""
    if _plain(filename) and len(filename) <= LINE and not set('"\\') & set(filename):
        return f'{kind};\r\n filename="{filename}"'
    pieces = _PIECE.findall(quote(filename, safe=""))
    if len(pieces) == 1:
        return f"{kind};\r\n filename*=utf-8''{pieces[0]}"
    first, *others = pieces
    continued = "".join(f";\r\n filename*{n}*={piece}" for n, piece in enumerate(others, 1))
    return f"{kind};\r\n filename*0*=utf-8''{first}{continued}"


def _folded(text: str, run: re.Pattern[str]) -> str:
    if _plain(text):
        runs = run.findall(text)
        # Otherwise a word is longer than a line, or there is space that folding may lose.
        if " ".join(runs) == text:
            return "\r\n ".join(runs)
    return _encoded(text)


def _phrase(text: str) -> str:
    """A display name: quoted where it is short and plain ASCII, else encoded."""
    if _plain(text) and len(text) <= LINE:
        return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
    return _encoded(text)


def _plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and "=?" not in text


def _encoded(text: str) -> str:
    """Encoded words, each of whole characters, one on a line; control characters become spaces."""
    words = [b""]
    for octets in map(str.encode, CONTROL.sub(" ", text)):
        if len(words[-1]) + len(octets) > WORD:
            words.append(b"")
        words[-1] += octets
    return "\r\n ".join(f"=?utf-8?b?{b64encode(word).decode()}?=" for word in words)
