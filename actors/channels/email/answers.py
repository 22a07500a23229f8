"""Read what a mail server answers (RFC 5321, 4.2): the three digits decide, whatever follows them.

Servers leave out the space behind the code, put a tab there, end lines with a bare LF, send empty lines or
lines of a log between, and close in the middle of a line. None of that hides an answer.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from actors.channels import printable

LINES_KEPT, LINE_KEPT = 50, 1_000  # of a reply that is longer than any should be: lines, and octets of each
# Four digits are no code, but for "2502.0.0 ok": a code without the space behind it.
_THREE = rb"[2-5]\d\d(?:(?!\d)|(?=[245]\.\d))"
_CODE = re.compile(_THREE)
_LAST = re.compile(_THREE + rb"(?!-)")  # A hyphen announces another line.
_ANYWHERE = re.compile(rb"(?m)^" + _THREE)
# RFC 3463. Some servers write "#5.1.0", some put a colon behind it.
_ENHANCED = re.compile(r"#?([245]\.\d{1,3}\.\d{1,3})(?=[\s:;,]|$)")


class Reply(NamedTuple):
    """`text` begins with the code; one line, printable, bounded."""

    code: int
    enhanced_code: str | None
    text: str

    @classmethod
    def of(cls, code: int, words: bytes) -> Reply:
        said = words.decode("utf-8", "replace")
        enhanced = _ENHANCED.match(said)
        return cls(code, enhanced and enhanced[1], printable(f"{code} {said}"))


def end(heard: bytes) -> int:
    """Return where the first whole reply ends; 0 while its last line has not come."""
    start, newline = 0, heard.find(b"\n") + 1
    while newline and not _LAST.match(heard, start):
        start, newline = newline, heard.find(b"\n", newline) + 1
    return newline


def has_code(heard: bytes) -> bool:
    """Return whether a line of it, whole or not, begins with a reply code."""
    return _ANYWHERE.search(heard) is not None


@lru_cache(1_000)  # Most of what a server says it says all the time.
def understood(answer: bytes) -> Reply:
    """Read a reply in which there is a code."""
    return Reply.of(*parted(answer))


def parted(answer: bytes) -> tuple[int, bytes]:
    """Return the code of the last line that has one, and the words of all lines that have one."""
    if answer.count(b"\n") <= 1 and _CODE.match(answer):
        return int(answer[:3]), _words(answer)
    lines = [line for line in answer.split(b"\n") if _CODE.match(line)]
    return int(lines[-1][:3]), b"\n".join(map(_words, lines))


def refusal(heard: bytes, only: int | None = None) -> bytes:
    """Return the first reply that is a refusal (`only`: with this code), and what follows it; empty: there is none."""
    while heard:
        here = end(heard) or len(heard)
        code = understood(heard[:here]).code if has_code(heard[:here]) else 0
        if code >= 400 and only in (None, code):
            return heard
        heard = heard[here:]
    return b""


def shortened(heard: bytes) -> bytes:
    """Keep the beginnings of the first lines, and of the line that is still coming."""
    *lines, coming = heard.split(b"\n")
    kept = [line[:LINE_KEPT] for line in lines[:LINES_KEPT]]
    return b"\n".join([*kept, coming[:LINE_KEPT]])


def _words(line: bytes) -> bytes:
    return line[4 if line[3:4] in (b" ", b"-", b"\t") else 3 :].strip()
