"""Write the values of header fields (RFC 5322): folded if they are plain ASCII, else as encoded words (RFC 2047).

Python's email library is not used, because it parses the values that it is given: a subject `=?utf-8?q?hi?=` arrives
as `hi`, a quoted local part is changed, and characters such as U+2028 are taken for line ends.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterable
from urllib.parse import quote

from actors.channels.email.mailboxes import CONTROL, Mailbox

LINE = 66  # characters of a line after the header's name; RFC 5322, section 2.1.1 recommends at most 78 in all
WORD = 39  # octets in an encoded word; with the longest name, the line has at most 76 characters (RFC 2047, section 2)
LONGEST_WORD = 900  # characters without a space; a line may have 998 (RFC 5322, section 2.1.1)

# Runs of whole words that fit into a line.
_RUN = re.compile(rf"\S.{{0,{LINE - 1}}}(?!\S)")
# Such runs, or a longer word on a line of its own.
_LONG_RUN = re.compile(rf"\S.{{0,{LINE - 1}}}(?!\S)|\S{{1,{LONGEST_WORD}}}(?!\S)")
# An address, URL or message id in angle brackets, which must not be encoded (RFC 2047, section 5).
_BRACKETS = re.compile(r"(<[!-;=?-~]*>)")
_ALONE = re.compile(r"(?<!\S)(<[!-;=?-~]*>)(?!\S)")
# Headers of ids, optionally after a phrase (RFC 5322, section 3.6.4; RFC 2919, section 3).
OF_IDS = frozenset({"references", "in-reply-to", "list-id"})
ENCODED_LINE = 76  # characters of a line with an encoded word (RFC 2047, section 2)
FOLD = "\r\n "
PIECE = 48  # characters of a value that fit into a line after ` filename*0*=utf-8''`


def unstructured(text: str) -> str:
    """Return a text for people: folded between words if it is plain ASCII, else encoded."""
    return _folded(text, _RUN, _encoded)


def custom(name: str, text: str) -> str:
    """Return the value of a custom header, which programs may read that cannot decode.

    A long word stays as it is, up to LONGEST_WORD characters. If the text is not plain, only the part outside angle
    brackets is encoded: `=?utf-8?b?...?= <list.example.com>`.
    """
    if name.lower() in OF_IDS:
        text = _BRACKETS.sub(r" \1 ", text).strip()
        text = re.sub(r'^"((?:[^"\\]|\\.)*)"', _unquoted, text) if not _plain(text) else text
        value = _folded(re.sub(" +", " ", text), _LONG_RUN, _encoded_around_ids)
    else:
        value = _folded(text, _LONG_RUN, _encoded_around_brackets)
    first = value.partition("\r\n")[0]
    if "=?" in first and len(name) + len(": ") + len(first) > ENCODED_LINE:
        return f"\r\n {value}"
    return value


def mailbox(one: Mailbox) -> str:
    """Return a display name and its address, on two lines if they do not fit into one."""
    if not one.name:
        return one.address
    phrase = _phrase(one.name)
    room = LINE - len(phrase.rpartition("\r\n")[2])
    return f"{phrase}{' ' if len(one.address) + len(' <>') <= room else FOLD}<{one.address}>"


def mailboxes(several: Iterable[Mailbox]) -> str:
    """Return several mailboxes, each on a line of its own."""
    return ",\r\n ".join(map(mailbox, several))


def disposition(kind: str, filename: str) -> str:
    """Return the value of Content-Disposition (RFC 2183), with extended notation if the name needs it (RFC 2231)."""
    if is_plain_name(filename):
        return f'{kind};\r\n filename="{filename}"'
    pieces = _pieces(filename)
    if len(pieces) == 1:
        return f"{kind};\r\n filename*=utf-8''{pieces[0]}"
    first, *others = pieces
    continued = "".join(f";\r\n filename*{n}*={piece}" for n, piece in enumerate(others, 1))
    return f"{kind};\r\n filename*0*=utf-8''{first}{continued}"


def content_type(kind: str, filename: str) -> str:
    """Return the value of Content-Type.

    It repeats a name for which `disposition` needs extended notation, which old programs cannot read. They read encoded
    words in quotes, which RFC 2047 does not allow but which are common.
    """
    return kind if is_plain_name(filename) else f'{kind};\r\n name="{_encoded(filename)}"'


def _unquoted(quoted: re.Match[str]) -> str:
    return re.sub(r"\\(.)", r"\1", quoted[1])


def is_plain_name(filename: str) -> bool:
    return _plain(filename) and len(filename) <= LINE and not set('"\\') & set(filename)


def _pieces(text: str) -> list[str]:
    """Percent-encode a text in pieces of whole characters, each of which can be decoded by itself."""
    pieces = [""]
    for character in text:
        octets = quote(character, safe="")
        if len(pieces[-1]) + len(octets) > PIECE:
            pieces.append("")
        pieces[-1] += octets
    return pieces


def _folded(text: str, run: re.Pattern[str], encoded: Callable[[str], str]) -> str:
    if _plain(text):
        runs = run.findall(text)
        # Otherwise a word is longer than a line, or folding would lose spaces.
        if " ".join(runs) == text:
            return "\r\n ".join(runs)
    return encoded(text)


def _encoded_around_brackets(text: str) -> str:
    """Encode the text around angle brackets, or all of it if decoding would not restore the same text."""
    parts = _around_brackets(text)
    if "=?" in text or " ".join(parts) != text or _BRACKETS.search(_ALONE.sub("", text)):
        return _encoded(text)
    return _encoded_around_ids(text)


def _encoded_around_ids(text: str) -> str:
    """Encode the texts before and between ids if necessary; never encode an id."""
    parts = _around_brackets(text)
    return "\r\n ".join(part if _BRACKETS.fullmatch(part) or _is_one_run(part) else _encoded(part) for part in parts)


def _around_brackets(text: str) -> list[str]:
    """Split a text into its parts in angle brackets and those between them, separated by one space."""
    first, *others = _ALONE.split(text)
    parts = [first.removesuffix(" ") if others else first]
    for bracketed, behind in zip(others[::2], others[1::2], strict=True):
        parts += [bracketed, behind.removeprefix(" ").removesuffix(" ") if behind.strip() else ""]
    return [part for part in parts if part]


def _is_one_run(text: str) -> bool:
    return _plain(text) and _RUN.fullmatch(text) is not None and "  " not in text and text == text.strip()


def _phrase(text: str) -> str:
    """Return a display name: quoted if it is short and plain ASCII, else encoded."""
    if _plain(text) and len(text) <= LINE:
        return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
    return _encoded(text)


def _plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and "=?" not in text


def _encoded(text: str) -> str:
    """Return encoded words of whole characters, one per line. Control characters become spaces."""
    words = [b""]
    for octets in map(str.encode, CONTROL.sub(" ", text)):
        if len(words[-1]) + len(octets) > WORD:
            words.append(b"")
        words[-1] += octets
    return "\r\n ".join(f"=?utf-8?b?{b64encode(word).decode()}?=" for word in words)
