"""The text of an API key: ntf_live_12_<43 characters>, or ntf_test_... for a key that only works on the sandbox.

Scanners of source code and logs recognise the prefix, the number is the key's id, and the rest is 32 random bytes.
Those cannot be guessed, so a plain SHA-256 is stored: a slow hash protects secrets that people choose, and would slow
each request down.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import NamedTuple

_TEXT = re.compile(r"ntf_(live|test)_([1-9][0-9]{0,17})_([A-Za-z0-9_-]{43})")


class KeyText(NamedTuple):
    """The parts of a key's text. Nothing is checked yet."""

    id: int
    sandbox: bool
    secret: str

    @classmethod
    def parse(cls, text: str) -> KeyText | None:
        """Return the parts of a key, or None if the text is not a key."""
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
    """Return a new random secret."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> bytes:
    """Return the digest of a secret, which is what the database stores."""
    return hashlib.sha256(secret.encode()).digest()
