"""Webhooks of a provider, from the options `reports`, `reports_secret` and `reports_by` of its URL.

Several keys or secrets are separated by commas, so that they can be rotated without a gap.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass, field

from settings.errors import SettingsError

OPTIONS = ("reports", "reports_secret", "reports_by")
UNSIGNED = ("postmark", "brevo", "sparkpost", "mailjet")
KINDS = ("ses", "sendgrid", "mailgun", "resend", "twilio", "vonage", *UNSIGNED)
SHORTEST = 16  # characters of a secret that the operator chooses
_TOPIC = re.compile(r"arn:aws(?:-cn|-us-gov)?:sns:[a-z0-9-]{1,30}:[0-9]{12}:[A-Za-z0-9_-]{1,256}(?:\.fifo)?")
_SECRET = re.compile(rf"[!-~]{{{SHORTEST},500}}")
_KEY = re.compile(r"[!-~]{8,500}")
# Every public key on P-256 begins so (RFC 5480).
_P256, _P256_LENGTH = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004"), 91


@dataclass(frozen=True, slots=True)
class ReportSource:
    """Proof of origin of a provider's webhooks.

    `kind`: one of KINDS. `keys`: those with which the provider signs, newest first; of SES the topics that it may
    publish to. `secrets`: one of them must come with every request; empty if none is needed.
    """

    kind: str
    keys: tuple[str, ...] = field(default=(), repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


def source(variable: str, scheme: str, options: dict[str, str]) -> ReportSource | None:
    """Take the options of a provider's URL out of `options`; None if it has no webhooks.

    Raises:
        SettingsError: An option is malformed, or needs another one.
    """
    given = {name: options.pop(name, "") for name in OPTIONS}
    if not given["reports"]:
        if name := next((name for name, value in given.items() if value), None):
            raise SettingsError(f"{variable} has {name} without reports: give reports too, or leave it out")
        return None
    kind = given["reports_by"] or scheme
    if kind not in KINDS:
        raise SettingsError(f"{variable} has reports without knowing whose: give reports_by, one of {', '.join(KINDS)}")
    if kind in UNSIGNED:
        if given["reports_secret"]:
            raise SettingsError(f"{variable} has reports_secret, but {kind} does not sign: give the secret as reports")
        return ReportSource(kind, secrets=_secrets(variable, "reports", given["reports"]))
    check, form = _CHECKS.get(kind, (_KEY.fullmatch, "the key with which it signs, of 8 characters or more"))
    keys = _listed(given["reports"])
    if not all(map(check, keys)):
        raise SettingsError(f"{variable} has a malformed reports: for {kind} give {form}")
    secret = given["reports_secret"]
    return ReportSource(kind, keys, _secrets(variable, "reports_secret", secret) if secret else ())


def _secrets(variable: str, name: str, value: str) -> tuple[str, ...]:
    found = _listed(value)
    if not all(map(_SECRET.fullmatch, found)):
        raise SettingsError(
            f"{variable} has a malformed {name}: give a secret of {SHORTEST} characters or more, "
            "such as `openssl rand -hex 32` makes; several are separated by commas"
        )
    return found


def _listed(value: str) -> tuple[str, ...]:
    # In the query of a URL a plus means a space, and neither keys nor secrets contain one.
    return tuple(part.replace(" ", "+") for part in value.split(","))


def _is_p256(key: str) -> bool:
    decoded = _decoded(key)
    return len(decoded) == _P256_LENGTH and decoded.startswith(_P256)


def _is_svix(key: str) -> bool:
    return key.startswith("whsec_") and len(_decoded(key.removeprefix("whsec_"))) >= 16


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return b""


_CHECKS: dict[str, tuple[Callable[[str], object], str]] = {
    "ses": (_TOPIC.fullmatch, "the topic, as in arn:aws:sns:eu-west-1:123456789012:mail-events"),
    "sendgrid": (_is_p256, "the verification key of the event webhook, which begins with MFkw"),
    "resend": (_is_svix, "the signing secret of the webhook, which begins with whsec_"),
}
