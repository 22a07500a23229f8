"""Keys of push accounts, made for the tests, and the URLs of accounts that use them."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import http_ece
import orjson
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

KEY_ID, TEAM_ID, TOPIC, CONTACT = "ABC123DEFG", "DEF123GHIJ", "com.example.App", "ops@example.com"
PROJECT = "shop-1234"
SECRET = "hush-hush"
EMAIL = f"push@{PROJECT}.iam.gserviceaccount.com"


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def service_account(folder: Path, token_uri: str) -> Path:
    """The JSON file that the Firebase console makes."""
    path = folder / "service-account.json"
    document = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "k1",
        "private_key": pem(rsa_key()).decode(),
        "client_email": EMAIL,
        "token_uri": token_uri,
    }
    path.write_bytes(orjson.dumps(document))
    return path


def url(kind: str, folder: Path, endpoint: str) -> str:
    """The URL of an account whose key file is in this folder."""
    if kind == "fcm":
        return f"fcm://{service_account(folder, f'{endpoint}/token')}?endpoint={endpoint}"
    if kind == "push+https":
        return f"push+https://:{SECRET}@push.example.com?endpoint={endpoint}/push"
    path = folder / f"{kind}.pem"
    path.write_bytes(pem(ec_key()))
    user = f"{KEY_ID}:{TEAM_ID}@{TOPIC}" if kind == "apns" else CONTACT.replace("@", "%40")
    return f"{kind}://{user}?key={path}&endpoint={endpoint}"


def verified(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header and the claims of a JSON Web Token, whose signature is checked."""
    head, claims, signature = (urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split("."))
    header, signed = orjson.loads(head), token.rpartition(".")[0].encode()
    if header["alg"] == "RS256":
        rsa_key().public_key().verify(signature, signed, PKCS1v15(), SHA256())
    else:
        assert header["alg"] == "ES256"
        assert len(signature) == 64
        pair = encode_dss_signature(int.from_bytes(signature[:32]), int.from_bytes(signature[32:]))
        ec_key().public_key().verify(pair, signed, ec.ECDSA(SHA256()))
    return header, orjson.loads(claims)


def encoded(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def public(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


class Browser(NamedTuple):
    """A browser with a subscription, which decrypts with a library of others."""

    key: ec.EllipticCurvePrivateKey
    auth: bytes

    @classmethod
    def subscribed(cls) -> Browser:
        # The same in every process of the suite, because names of tests have it.
        return cls(ec.derive_private_key(0x5EED, ec.SECP256R1()), b"0123456789abcdef")

    @property
    def keys(self) -> dict[str, str]:
        return {"p256dh": encoded(public(self.key)), "auth": encoded(self.auth)}

    def read(self, body: bytes) -> Any:
        return orjson.loads(http_ece.decrypt(body, private_key=self.key, auth_secret=self.auth, version="aes128gcm"))


BROWSER = Browser.subscribed()
