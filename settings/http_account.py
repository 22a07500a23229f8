"""Accounts of mail providers with an HTTP API, from URLs such as postmark://:TOKEN@ and ses://KEYID:SECRET@eu-west-1."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from settings.account_urls import AWS_REGION, SECRET, endpoint_url
from settings.errors import SettingsError
from settings.hosts import is_domain_name

FORMS = {
    "ses": "ses://KEYID:SECRET@eu-west-1",
    "postmark": "postmark://:TOKEN@",
    "sendgrid": "sendgrid://:KEY@",
    "mailgun": "mailgun://:KEY@api.eu.mailgun.net/example.com",
    "resend": "resend://:KEY@",
    "brevo": "brevo://:KEY@",
}
_HOSTS = {
    "postmark": "api.postmarkapp.com",
    "sendgrid": "api.sendgrid.com",
    "resend": "api.resend.com",
    "brevo": "api.brevo.com",
}
_KNOWN = "endpoint, connections, rate, daily, priority, weight, from or reports"


@dataclass(frozen=True, slots=True)
class HttpAccount:
    """Account of a mail provider.

    `kind`: one of FORMS. `secret`: the key or token; of SES the secret that belongs to the key id `key`. `url`: where
    the API is, without a slash at the end. `region`: only of SES. `domain`: the sending domain, only of Mailgun.
    `variable`: the setting that it comes from, for messages.
    """

    kind: str
    secret: str = field(repr=False)
    url: str
    key: str = field(default="", repr=False)
    region: str = ""
    domain: str = ""
    variable: str = ""

    @property
    def name(self) -> str:
        """Host of the API."""
        return urlsplit(self.url).netloc

    @property
    def user(self) -> str:
        """Empty: the sender's address cannot be guessed from an account."""
        return ""


def account(variable: str, parts: SplitResult, options: Mapping[str, str]) -> HttpAccount:
    """Return the account of a URL of one of these forms; raise SettingsError if it is malformed."""
    if unknown := set(options) - {"endpoint"}:
        raise SettingsError(f"{variable} has an unknown option {min(unknown)!r}: use {_KNOWN}")
    found = _READERS.get(parts.scheme, _plain)(variable, parts)
    if "endpoint" in options:
        found["url"] = endpoint_url(variable, options["endpoint"])
    return HttpAccount(parts.scheme, _secret(variable, parts), variable=variable, **found)


def _plain(variable: str, parts: SplitResult) -> dict[str, str]:
    if parts.username or parts.path.strip("/"):
        raise _malformed(variable, parts)
    return {"url": _base(variable, parts, _HOSTS[parts.scheme])}


def _ses(variable: str, parts: SplitResult) -> dict[str, str]:
    region, key = parts.hostname or "", unquote(parts.username or "")
    if not SECRET.fullmatch(key) or parts.port or parts.path.strip("/"):
        raise _malformed(variable, parts)
    if not AWS_REGION.fullmatch(region):
        raise SettingsError(f"{variable} has no AWS region after the @: give one as in {FORMS['ses']}")
    return {"url": f"https://email.{region}.amazonaws.com", "key": key, "region": region}


def _mailgun(variable: str, parts: SplitResult) -> dict[str, str]:
    domain = unquote(parts.path.strip("/"))
    if parts.username not in {None, "", "api"} or not parts.hostname:
        raise _malformed(variable, parts)
    if not is_domain_name(domain):
        raise SettingsError(f"{variable} has no sending domain after the host: give it as in {FORMS['mailgun']}")
    return {"url": _base(variable, parts, ""), "domain": domain}


_READERS: dict[str, Callable[[str, SplitResult], dict[str, str]]] = {"ses": _ses, "mailgun": _mailgun}


def _base(variable: str, parts: SplitResult, default: str) -> str:
    host = parts.hostname or default
    if not is_domain_name(host):
        raise _malformed(variable, parts)
    return f"https://{host}{f':{parts.port}' if parts.port else ''}"


def _secret(variable: str, parts: SplitResult) -> str:
    secret = unquote(parts.password or "")
    if not SECRET.fullmatch(secret):
        raise _malformed(variable, parts)
    return secret


def _malformed(variable: str, parts: SplitResult) -> SettingsError:
    """Return the error for a URL that has another form. It quotes nothing, because any part may be the secret."""
    # A slash in a secret ends the host of the URL, so that the rest of the secret is taken for its path.
    form = FORMS[parts.scheme]
    return SettingsError(f"{variable} must look like {form}, with / ? # and @ in the secret written as %2F %3F %23 %40")
