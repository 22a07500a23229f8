"""JSON Web Tokens (RFC 7519), signed with the keys of push accounts."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256


def rs256(header: Mapping[str, Any], claims: Mapping[str, Any], key: RSAPrivateKey) -> str:
    """Return a token signed with RSASSA-PKCS1-v1_5 and SHA-256 (RFC 7518, section 3.3)."""
    signed = _to_sign({"alg": "RS256", "typ": "JWT", **header}, claims)
    return f"{signed}.{base64url(key.sign(signed.encode(), PKCS1v15(), SHA256()))}"


def es256(header: Mapping[str, Any], claims: Mapping[str, Any], key: EllipticCurvePrivateKey) -> str:
    """Return a token signed with ECDSA on P-256 and SHA-256 (RFC 7518, section 3.4).

    The signature is deterministic (RFC 6979): all processes make the same token from the same claims.
    """
    signed = _to_sign({"alg": "ES256", "typ": "JWT", **header}, claims)
    r, s = decode_dss_signature(key.sign(signed.encode(), ECDSA(SHA256(), deterministic_signing=True)))
    return f"{signed}.{base64url(r.to_bytes(32) + s.to_bytes(32))}"


def base64url(octets: bytes) -> str:
    """Return base64url without padding (RFC 7515, section 2)."""
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def _to_sign(header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    return f"{base64url(orjson.dumps(header))}.{base64url(orjson.dumps(claims))}"
