"""Encryption of secrets that the database keeps, under a secret of the environment."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


class CannotOpen(Exception):
    """The secret with which a value was encrypted is not one of ours, or the value was changed."""


class Sealer:
    """Encrypt with the first of `secrets`; decrypt with any of them.

    `purpose` separates the keys of different uses of the same secret.
    """

    def __init__(self, secrets: Sequence[str], purpose: str) -> None:
        self._fernet = MultiFernet([_fernet(secret, purpose) for secret in secrets])

    def seal(self, plain: bytes) -> bytes:
        """Return the encrypted value."""
        return self._fernet.encrypt(plain)

    def open(self, sealed: bytes) -> bytes:
        """Return the value; raise CannotOpen."""
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken:
            raise CannotOpen from None


def _fernet(secret: str, purpose: str) -> Fernet:
    # The secret is long and random, so a fast derivation is enough (RFC 5869, section 3.3).
    key = HKDF(SHA256(), 32, salt=None, info=purpose.encode()).derive(secret.encode())
    return Fernet(urlsafe_b64encode(key))
