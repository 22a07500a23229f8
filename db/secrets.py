"""The text of an API key: ntf_live_12_<43 characters>, or ntf_test_... for one that only works on the sandbox.

The prefix makes it known to scanners of source code and logs, the number says which key it is, and the
rest is 32 random bytes. Those cannot be guessed or tried through, so their plain SHA-256 is stored: a
slow hash protects secrets that people choose, and would cost its time with each request.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import NamedTuple

_TEXT = re.compile(r"ntf_(live|test)_([1-9][0-9]{0,17})_([A-Za-z0-9_-]{43})")


class KeyText(NamedTuple):
    """A key as its owner shows it, taken apart. Nothing of it is checked yet."""

    id: int
    sandbox: bool
    secret: str

    @classmethod
    def parse(cls, text: str) -> KeyText | None:
        """None where the text is no key."""
        found = _TEXT.fullmatch(text)
        return cls(int(found[2]), found[1] == "test", found[3]) if found else None

    def __str__(self) -> str:
        return f"ntf_{'test' if self.sandbox else 'live'}_{self.id}_{self.secret}"

    def __repr__(self) -> str:
        return f"KeyText({self.id})"

    @property
    def digest(self) -> bytes:
        return digest(self.secret)


def new() -> str:
    """A secret that nobody has had before."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> bytes:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode()).digest()
