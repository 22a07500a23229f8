"""Proof that a request comes from Vonage: a JWT (Messages API), or a field with a signature (SMS API)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import timedelta

import orjson

from actors.reports.providers import form, proof
from actors.reports.providers.fields import Fields, document
from actors.reports.providers.received import Forged, Malformed, Received
from settings.report_source import ReportSource

LIMIT = 100_000  # bytes
OLDEST = timedelta(hours=25)  # Vonage repeats a request for 24 hours


def signed_values(received: Received, source: ReportSource) -> object:
    """Return the JSON, or the fields of the form, in a request that is signed with one of the keys."""
    scheme, _, token = received.header("Authorization").partition(" ")
    if scheme.lower() == "bearer":
        _check_jwt(token.strip(), received, source)
        return document(received.body, LIMIT)
    values = _values(received)
    _check_field(values, received, source)
    return values


def _check_jwt(token: str, received: Received, source: ReportSource) -> None:
    head, _, signature = token.rpartition(".")
    header, dot, claims = head.partition(".")
    if not dot or "." in claims:
        raise Forged("the JWT does not have three parts")
    # The algorithm is ours to choose, not that of whoever made the token.
    if _part(header).text("alg") != "HS256":
        raise Forged("the JWT is not signed with HS256")
    expected = [hmac.digest(key.encode(), head.encode("utf-8", "replace"), "sha256") for key in source.keys]
    if not proof.same(proof.from_base64url(signature), expected):
        raise Forged("the signature is wrong")
    said = _part(claims)
    proof.check_seconds(said.text("iat") or "", received.at, OLDEST)
    if not proof.same((said.text("payload_hash") or "").lower(), [hashlib.sha256(received.body).hexdigest()]):
        raise Forged("the body is not the one that was signed")


def _part(encoded: str) -> Fields:
    try:
        return Fields(orjson.loads(proof.from_base64url(encoded)), "JWT")
    except (orjson.JSONDecodeError, Malformed):
        raise Forged("the JWT is malformed") from None


def _values(received: Received) -> Mapping[str, object]:
    """Return the fields of the SMS API: JSON, or a form."""
    if "json" not in received.header("Content-Type").lower():
        return dict(form.pairs(received.body))
    found = document(received.body, LIMIT)
    if not isinstance(found, dict):
        raise Malformed("the body is not an object")
    return found


def _check_field(values: Mapping[str, object], received: Received, source: ReportSource) -> None:
    signature, fields = str(values.get("sig") or ""), {name: v for name, v in values.items() if name != "sig"}
    if not signature or not all(isinstance(value, str) for value in fields.values()):
        raise Forged("the signature is missing: let Vonage sign webhooks, with SHA-256 HMAC")
    escaped = {name: str(value).replace("&", "_").replace("=", "_") for name, value in fields.items()}
    signed = "".join(f"&{name}={escaped[name]}" for name in sorted(escaped)).encode()
    expected = [hmac.digest(key.encode(), signed, "sha256").hex() for key in source.keys]
    if not proof.same(signature.lower(), expected):
        raise Forged("the signature is wrong, or is not SHA-256 HMAC")
    proof.check_seconds(str(fields.get("timestamp") or ""), received.at, OLDEST)
