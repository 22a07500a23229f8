"""Make DKIM key pairs (RFC 6376, RFC 8463)."""

from __future__ import annotations

import secrets
from base64 import b32encode, b64encode
from collections.abc import Collection

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from actors.channels.email.signer import PURPOSE
from db.domain_keys import ALGORITHMS, NewKey
from runtime.sealing import Sealer
from settings import SettingsError
from settings.domains import DomainSettings

BITS = 2048  # RFC 8301, section 3.2; a longer key needs several strings in DNS and four times the work


def make(algorithms: Collection[str], settings: DomainSettings) -> list[NewKey]:
    """Return a new key of each algorithm, its private part encrypted. An RSA key takes a fifth of a second.

    Raises:
        SettingsError: DOMAIN_KEYS_SECRET is not set.
    """
    if not settings.secrets:
        raise SettingsError(
            "DOMAIN_KEYS_SECRET is not set, and private keys are only stored encrypted: make one with "
            "`openssl rand -hex 32`, and give the same one to the API and the workers"
        )
    sealer = Sealer(settings.secrets, PURPOSE)
    return [_made(algorithm, sealer) for algorithm in ALGORITHMS if algorithm in algorithms]


def _made(algorithm: str, sealer: Sealer) -> NewKey:
    private: RSAPrivateKey | Ed25519PrivateKey
    if algorithm == "rsa":
        private = generate_private_key(65_537, BITS)
        public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    else:
        private = Ed25519PrivateKey.generate()
        public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)  # RFC 8463, section 4
    der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return NewKey(algorithm, _selector(), b64encode(public).decode(), sealer.seal(der))


def _selector() -> str:
    """Return a name that no other key of the domain has, here or in another system."""
    return "n" + b32encode(secrets.token_bytes(5)).decode().lower()
