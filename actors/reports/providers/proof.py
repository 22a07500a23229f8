"""Checks of secrets, signatures and times, in constant time."""

from __future__ import annotations

import hmac
import re
from base64 import b64decode, urlsafe_b64decode
from binascii import Error as Base64Error
from collections.abc import Iterable
from datetime import datetime, timedelta

from actors.reports.providers.received import Forged, Received

_SECONDS = re.compile(r"[0-9]{1,12}")
FAST = timedelta(minutes=5)  # how far the clock of a provider may be fast


def same(given: str | bytes, expected: Iterable[str | bytes]) -> bool:
    """Return whether one of the expected values is given. The time it takes does not depend on which or how much."""
    found = False
    for one in expected:
        found |= hmac.compare_digest(_octets(given), _octets(one))
    return found


def check_secret(received: Received, secrets: Iterable[str]) -> None:
    """Raise Forged unless the request has one of the secrets: as Basic or Bearer authorization, or as `?secret=`."""
    # Vonage uses the authorization for its signature, so that the secret can only be in the query.
    places = (_authorization(received.header("Authorization")), received.query.get("secret", ""))
    given = [secret for secret in places if secret]
    if not given:
        raise Forged("the secret is missing: give it in the address of the webhook, as https://reports:SECRET@host/...")
    expected = list(secrets)
    if not any(same(secret, expected) for secret in given):
        raise Forged("the secret is wrong")


def check_seconds(given: str, now: datetime, oldest: timedelta) -> None:
    """Raise Forged unless a text is a time in seconds since 1970 that is at most `oldest` ago."""
    if not _SECONDS.fullmatch(given):
        raise Forged("the timestamp is missing or not a number of seconds")
    check_age(now.timestamp() - int(given), oldest)


def check_age(age: float, oldest: timedelta) -> None:
    """Raise Forged unless `age`, in seconds, is at most `oldest`, and not less than that of a clock that is fast."""
    if age > oldest.total_seconds():
        raise Forged(f"the timestamp is older than {oldest}: it is a replay, or a clock is wrong")
    if age < -FAST.total_seconds():
        raise Forged("the timestamp is in the future: a clock is wrong")


def from_base64(text: str) -> bytes:
    """Return the decoded signature; raise Forged if it is not base64."""
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise Forged("the signature is not base64") from None


def from_base64url(text: str) -> bytes:
    """Return the decoded part of a JWT, which has no padding (RFC 7515, section 2); raise Forged if it is malformed."""
    try:
        return urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (Base64Error, UnicodeEncodeError):
        raise Forged("the JWT is not base64url") from None


def _authorization(value: str) -> str:
    """Return the password of Basic authorization (RFC 7617), or the token of Bearer; empty if there is neither."""
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return b64decode(rest.strip(), validate=True).decode("utf-8", "replace").partition(":")[2]
    except ValueError:
        return ""


def _octets(value: str | bytes) -> bytes:
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
