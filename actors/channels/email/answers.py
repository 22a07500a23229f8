"""Parse SMTP replies (RFC 5321, section 4.2). The three digits of the code decide, whatever follows them.

The parser is lenient. Servers omit the space after the code or send a tab instead, end lines with a bare LF, insert
empty lines or log lines, and close the connection in the middle of a line.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from actors.channels import printable

LINES_KEPT, LINE_KEPT = 50, 1_000  # lines of an overlong reply that are kept, and octets of each line
# Four digits are not a code, except in "2502.0.0 ok": a code without the space after it.
_THREE = rb"[2-5]\d\d(?:(?!\d)|(?=[245]\.\d))"
_CODE = re.compile(_THREE)
_LAST = re.compile(_THREE + rb"(?!-)")  # A hyphen means that another line follows.
_ANYWHERE = re.compile(rb"(?m)^" + _THREE)
# RFC 3463. Some servers write "#5.1.0", some add a colon.
_ENHANCED = re.compile(r"#?([245]\.\d{1,3}\.\d{1,3})(?=[\s:;,]|$)")


class Reply(NamedTuple):
    """Parsed reply. `text` begins with the code and is one printable line of bounded length."""

    code: int
    enhanced_code: str | None
    text: str

    @classmethod
    def of(cls, code: int, words: bytes) -> Reply:
        said = words.decode("utf-8", "replace")
        enhanced = _ENHANCED.match(said)
        return cls(code, enhanced and enhanced[1], printable(f"{code} {said}"))


def end(heard: bytes) -> int:
    """Return the offset at which the first complete reply ends; 0 if its last line is missing."""
    start, newline = 0, heard.find(b"\n") + 1
    while newline and not _LAST.match(heard, start):
        start, newline = newline, heard.find(b"\n", newline) + 1
    return newline


def has_code(heard: bytes) -> bool:
    """Return whether a line, complete or not, begins with a reply code."""
    return _ANYWHERE.search(heard) is not None


@lru_cache(1_000)  # A server repeats most of its replies.
def understood(answer: bytes) -> Reply:
    """Parse a reply that contains a code."""
    return Reply.of(*parted(answer))


def parted(answer: bytes) -> tuple[int, bytes]:
    """Return the code of the last line that has one, and the texts of all lines that have one."""
    if answer.count(b"\n") <= 1 and _CODE.match(answer):
        return int(answer[:3]), _words(answer)
    lines = [line for line in answer.split(b"\n") if _CODE.match(line)]
    return int(lines[-1][:3]), b"\n".join(map(_words, lines))


def refusal(heard: bytes, only: int | None = None) -> bytes:
    """Return the first refusal (4xx or 5xx) and everything after it; empty if there is none.

    `only`: accept just this code.
    """
    while heard:
        here = end(heard) or len(heard)
        code = understood(heard[:here]).code if has_code(heard[:here]) else 0
        if code >= 400 and only in (None, code):
            return heard
        heard = heard[here:]
    return b""


def shortened(heard: bytes) -> bytes:
    """Return an overlong reply cut to the beginnings of its first lines and of its incomplete last line."""
    *lines, coming = heard.split(b"\n")
    kept = [line[:LINE_KEPT] for line in lines[:LINES_KEPT]]
    return b"\n".join([*kept, coming[:LINE_KEPT]])


def _words(line: bytes) -> bytes:
    return line[4 if line[3:4] in (b" ", b"-", b"\t") else 3 :].strip()
