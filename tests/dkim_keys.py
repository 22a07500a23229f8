"""DKIM keys for tests: one of each algorithm, made once, and what DNS has of them."""

from __future__ import annotations

from base64 import b64encode
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from actors.channels.email.dkim import Key

SELECTORS = {"rsa": "r1", "ed25519": "e1"}


@cache
def private(algorithm: str) -> RSAPrivateKey | Ed25519PrivateKey:
    """Return the private key of an algorithm."""
    return generate_private_key(65_537, 2048) if algorithm == "rsa" else Ed25519PrivateKey.generate()


def key(algorithm: str, domain: str = "example.com") -> Key:
    """Return the key of an algorithm, for a domain."""
    return Key(domain, SELECTORS[algorithm], algorithm, private(algorithm))


def published(algorithm: str) -> str:
    """Return the value of its TXT record."""
    public = private(algorithm).public_key()
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo) if algorithm == "rsa" else (Encoding.Raw, PublicFormat.Raw)
    return f"v=DKIM1; k={algorithm}; p={b64encode(public.public_bytes(*form)).decode()}"


def txt(name: bytes, timeout: int = 5) -> bytes:
    """Answer dkimpy as DNS would."""
    selector = name.split(b".")[0].decode()
    return published({of: algorithm for algorithm, of in SELECTORS.items()}[selector]).encode()
