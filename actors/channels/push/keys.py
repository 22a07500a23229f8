"""Read the key files of push accounts, once when a worker starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from settings import SettingsError
from settings.hosts import is_loopback
from settings.push_accounts import PushAccount

LIMIT = 65_536  # bytes of a key file


class ServiceAccount(NamedTuple):
    """Service account of a Google Cloud project. `token_uri`: where its signed requests become access tokens."""

    project: str
    email: str
    key_id: str
    key: RSAPrivateKey
    token_uri: str


def check(account: PushAccount) -> None:
    """Raise SettingsError unless the key file of an account holds what its service needs."""
    if account.kind == "fcm":
        service_account(account)
    elif account.file:
        signing_key(account)


def service_account(account: PushAccount) -> ServiceAccount:
    """Return the service account in the key file of an FCM account.

    Raises:
        SettingsError: The file cannot be read, or is no key of a service account.
    """
    wanted = "give the JSON key of a service account, as the Firebase console makes it"
    try:
        document: dict[str, Any] = orjson.loads(_read(account))
        project, email, key_id, pem, token_uri = (
            str(document[name]) for name in ("project_id", "client_email", "private_key_id", "private_key", "token_uri")
        )
        key = load_pem_private_key(pem.encode(), None)
        parts = urlsplit(token_uri)
    except (ValueError, KeyError, TypeError):
        raise _wrong(account, wanted) from None
    if not isinstance(key, RSAPrivateKey) or not project.replace("-", "").isalnum():
        raise _wrong(account, wanted)
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise _wrong(account, "its token_uri is not https")
    return ServiceAccount(project, email, key_id, key, token_uri)


def signing_key(account: PushAccount) -> EllipticCurvePrivateKey:
    """Return the P-256 key in the key file of an account of APNs or Web Push; see `service_account`."""
    wanted = "give a private key on the curve P-256 in PEM, without a passphrase"
    try:
        key = load_pem_private_key(_read(account), None)
    except (ValueError, TypeError):
        raise _wrong(account, wanted) from None
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise _wrong(account, wanted)
    return key


def _read(account: PushAccount) -> bytes:
    try:
        with Path(account.file).open("rb") as stream:
            return stream.read(LIMIT)
    except OSError as error:
        raise SettingsError(
            f"{account.variable}: the key file {account.file} cannot be read: {error.strerror}"
        ) from None


def _wrong(account: PushAccount, wanted: str) -> SettingsError:
    return SettingsError(f"{account.variable}: the key file {account.file} is not usable: {wanted}")
