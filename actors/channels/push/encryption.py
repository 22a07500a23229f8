"""Encrypt messages for browsers (RFC 8291), in one record of the coding aes128gcm (RFC 8188)."""

from __future__ import annotations

import os

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from actors.channels.push.subscription import Keys

RECORD = 4_096  # bytes


def encrypted(text: bytes, keys: Keys, own: EllipticCurvePrivateKey | None = None, salt: bytes = b"") -> bytes:
    """Return the body of a request. `own` and `salt` must be new for each body, so only tests give them."""
    own, salt = own or generate_private_key(SECP256R1()), salt or os.urandom(16)
    public = point(own.public_key())
    shared = own.exchange(ECDH(), EllipticCurvePublicKey.from_encoded_point(SECP256R1(), keys.public))
    secret = _derived(shared, keys.auth, b"WebPush: info\0" + keys.public + public, 32)
    key = _derived(secret, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derived(secret, salt, b"Content-Encoding: nonce\0", 12)
    # The octet 2 ends the last record.
    sealed = AESGCM(key).encrypt(nonce, text + b"\2", None)
    return salt + RECORD.to_bytes(4) + bytes([len(public)]) + public + sealed


def point(key: EllipticCurvePublicKey) -> bytes:
    """Return a public key as an uncompressed point, 65 bytes."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _derived(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(secret)
