"""Comparison of the output of a command with the output that a page shows.

Lenient in what is another each time (ids, times, addresses, secrets) and in how lines are broken; strict in
status codes, names of fields, their order and their values. `...` stands for anything.
"""

from __future__ import annotations

import re

# What is another each time, and what stands for it.
EACH_TIME: tuple[tuple[str, str], ...] = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "(time)"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?(\.\d+)?", "(time)"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "(uuid)"),
    (r"(127\.0\.0\.1|localhost):\d+", "(address)"),
    (r"ntf_(live|test)_\d+_[\w-]+", r"ntf_\1_(key)"),
    (r"whsec_[\w+/=.-]+", "(secret)"),
    (r"v1,[A-Za-z0-9+/=]{20,}", "(signature)"),
    (r"\b[0-9a-f]{16,}\b", "(hex)"),
    (r'("(?:id|clientId|keyId|callbackId|notificationId|expiresIn)": ?)\d+', r"\1(n)"),
    (r"((?:notifications|clients|keys|callbacks|deliveries)/)\d+", r"\1(n)"),
    (r"\b(Key|Caught as|msg_|Notification|notification) ?\d+", r"\1 (n)"),
    (r"((?:retry-after|content-length|age): )\d+", r"\1(n)"),
    (r"\b(r|t)=\d+", r"\1=(n)"),
    (r"\b\d+(\.\d+)? ?(ms|µs)\b", r"(n) \2"),
    # Until Python 3.12 the name of the status is the older one.
    ("^(http/1.1 422) unprocessable (content|entity)$", r"\1"),
)


def missing(expected: str, actual: str) -> str:
    """The first piece of `expected` that is not in `actual`, in order; empty where all of it is."""
    head, _, body = expected.partition("\n\n") if expected.startswith("HTTP/") else ("", "", expected)
    lines = {_steady(line.strip().lower()) for line in actual.splitlines()}
    for line in head.splitlines():
        if not _has(lines, _steady(line.strip().lower())):
            return line
    return _missing_piece(_squeezed(body), _squeezed(actual))


def _has(lines: set[str], wanted: str) -> bool:
    pattern = ".*".join(map(re.escape, wanted.split("...")))
    return any(re.fullmatch(pattern, line) for line in lines)


def _missing_piece(expected: str, actual: str) -> str:
    at = 0
    for piece in expected.replace("…", "...").split("..."):
        found = actual.find(piece, at)
        if found < 0:
            return piece
        at = found + len(piece)
    return ""


def _steady(text: str) -> str:
    for each_time, stands in EACH_TIME:
        text = re.sub(each_time, stands, text)
    return text


def _squeezed(text: str) -> str:
    """Without white space, and so without the ways to break and to indent JSON."""
    return re.sub(r"\s+", "", _steady(text))
