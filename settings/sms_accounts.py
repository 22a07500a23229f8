"""Accounts of providers of text messages, from URLs such as twilio://SID:TOKEN@?from=+15555550100."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import SplitResult, unquote

from settings.account_urls import AWS_REGION, SECRET, endpoint_url
from settings.errors import SettingsError
from settings.hosts import is_domain_name
from settings.http_account import HttpAccount

FORMS = {
    "twilio": "twilio://SID:TOKEN@?from=+15555550100",
    "vonage": "vonage://KEY:SECRET@?from=ACME",
    "sns": "sns://KEYID:SECRET@eu-west-1",
    "sms+https": "sms+https://:TOKEN@sms.example.com/path",
}
CONNECTIONS = 100  # at a time, of all worker processes together: 3,000 messages a second at 30 ms each
_KNOWN = "endpoint, connections, rate, daily, priority, weight or from"
_SID = re.compile(r"[A-Za-z0-9]{1,64}")
_PATH = re.compile(r"(?:/[!-~]*)?")


def account(variable: str, parts: SplitResult, options: Mapping[str, str]) -> HttpAccount:
    """Return the account of a URL of one of FORMS; raise SettingsError if it is malformed."""
    if unknown := set(options) - {"endpoint"}:
        raise SettingsError(f"{variable} has an unknown option {min(unknown)!r}: use {_KNOWN}")
    secret, endpoint = unquote(parts.password or ""), None
    if not SECRET.fullmatch(secret):
        raise _malformed(variable, parts)
    if "endpoint" in options:
        endpoint = endpoint_url(variable, options["endpoint"])
    found = _READERS[parts.scheme](variable, parts, endpoint)
    return HttpAccount(parts.scheme, secret, variable=variable, **found)


def _twilio(variable: str, parts: SplitResult, endpoint: str | None) -> dict[str, str]:
    """Read twilio://SID:TOKEN@, or twilio://KEYSID:SECRET@SID for an API key. The SID of the account is in the URL."""
    key, sid = unquote(parts.username or ""), parts.netloc.rpartition("@")[2]  # `hostname` is in lower case
    if not (_SID.fullmatch(key) and _SID.fullmatch(sid or key)) or parts.path.strip("/"):
        raise _malformed(variable, parts)
    return {"key": key, "url": f"{endpoint or 'https://api.twilio.com'}/2010-04-01/Accounts/{sid or key}"}


def _vonage(variable: str, parts: SplitResult, endpoint: str | None) -> dict[str, str]:
    key = unquote(parts.username or "")
    if not SECRET.fullmatch(key) or parts.netloc.rpartition("@")[2] or parts.path.strip("/"):
        raise _malformed(variable, parts)
    return {"key": key, "url": endpoint or "https://rest.nexmo.com"}


def _sns(variable: str, parts: SplitResult, endpoint: str | None) -> dict[str, str]:
    region, key = parts.hostname or "", unquote(parts.username or "")
    if not SECRET.fullmatch(key) or parts.port or parts.path.strip("/"):
        raise _malformed(variable, parts)
    if not AWS_REGION.fullmatch(region):
        raise SettingsError(f"{variable} has no AWS region after the @: give one as in {FORMS['sns']}")
    return {"key": key, "region": region, "url": endpoint or f"https://sns.{region}.amazonaws.com"}


def _generic(variable: str, parts: SplitResult, endpoint: str | None) -> dict[str, str]:
    if parts.username or not is_domain_name(parts.hostname or "") or not _PATH.fullmatch(parts.path):
        raise _malformed(variable, parts)
    port = f":{parts.port}" if parts.port else ""
    return {"url": endpoint or f"https://{parts.hostname}{port}{parts.path}"}


_READERS: dict[str, Callable[[str, SplitResult, str | None], dict[str, str]]] = {
    "twilio": _twilio,
    "vonage": _vonage,
    "sns": _sns,
    "sms+https": _generic,
}


def _malformed(variable: str, parts: SplitResult) -> SettingsError:
    """Return the error for a URL that has another form. It quotes nothing, because any part may be the secret."""
    form = FORMS[parts.scheme]
    return SettingsError(f"{variable} must look like {form}, with / ? # and @ in the secret written as %2F %3F %23 %40")
