"""Providers: the accounts that deliver, from SMTP_URL and PROVIDER_<NAME>.

Each is a URL. Options that every kind of account has: `priority` (1 is preferred), `weight` (the share among those of
the same priority), `connections`, `rate` and `daily` (at a time, per second and in 24 hours, of all worker
processes together), and `from` (the sender, instead of MAIL_FROM). Those for webhooks are in report_source.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from settings import http_account, push_accounts, report_source, sms_accounts, smtp_url
from settings.errors import SettingsError
from settings.hosts import split_url
from settings.http_account import HttpAccount
from settings.report_source import ReportSource
from settings.smtp_url import SmtpServer

T = TypeVar("T", int, float)

PREFIX = "PROVIDER_"
NAME = re.compile(r"[A-Z][A-Z0-9_]{0,30}")
_PLAIN = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
CONNECTIONS, MAX_CONNECTIONS = 20, 1_000
MAX_PRIORITY, MAX_WEIGHT, MAX_RATE, MAX_DAILY = 99, 1_000, 100_000.0, 999_999_999


@dataclass(frozen=True, slots=True)
class OtherAccount:
    """Account of a channel that another package brings, which reads the URL itself.

    `options`: those of the URL that not every account has.
    """

    url: str = field(repr=False)
    options: Mapping[str, str] = field(repr=False)
    variable: str
    user: str = ""

    @property
    def name(self) -> str:
        """The scheme of the URL."""
        return self.url.partition(":")[0]


Account = SmtpServer | HttpAccount | OtherAccount
Kind = Callable[[str, SplitResult, Mapping[str, str]], Account]


@dataclass(frozen=True, slots=True)
class Provider:
    """A configured account, and how much is sent through it.

    `name`: NAME of PROVIDER_NAME in lower case, or host:port for SMTP_URL. `scheme`: that of its URL.
    `rate`: notifications per second, `daily`: in 24 hours; None if unlimited.
    `sender`: the From of its mails; empty for MAIL_FROM. `reports`: its webhooks, None if it has none.
    """

    name: str
    account: Account
    scheme: str
    priority: int = 1
    weight: int = 1
    connections: int = CONNECTIONS
    rate: float | None = None
    daily: int | None = None
    sender: str = ""
    reports: ReportSource | None = None

    @property
    def variable(self) -> str:
        """The setting that it comes from, for messages."""
        return self.account.variable

    @property
    def secrets(self) -> list[str]:
        """Secrets that must never be logged."""
        account = self.account
        of_reports = [*self.reports.keys, *self.reports.secrets] if self.reports else []
        if isinstance(account, HttpAccount):
            return [account.secret, *of_reports]
        if isinstance(account, SmtpServer):
            return [account.password, *of_reports]
        password = urlsplit(account.url).password or ""
        return [account.url, password, unquote(password)]


def parse(variable: str, url: str) -> Provider:
    """Parse the URL of a provider; `variable` is the name of its environment variable."""
    parts = split_url(variable, url)
    options = _options(variable, parts)
    kinds = _KINDS if variable.startswith(PREFIX) else _SMTP
    kind = kinds.get(parts.scheme) or (None if kinds is _SMTP else partial(_other, url))
    if kind is None:
        raise SettingsError(f"{variable} must look like {_forms(kinds)}")
    connections = _CONNECTIONS.get(parts.scheme, CONNECTIONS)
    general = {
        "priority": _number(variable, options, "priority", int, 1, 1, MAX_PRIORITY),
        "weight": _number(variable, options, "weight", int, 1, 1, MAX_WEIGHT),
        "connections": _number(variable, options, "connections", int, connections, 1, MAX_CONNECTIONS),
        "rate": _number(variable, options, "rate", float, None, 0.01, MAX_RATE),
        "daily": _number(variable, options, "daily", int, None, 1, MAX_DAILY),
        "sender": options.pop("from", ""),
        "reports": report_source.source(variable, parts.scheme, options),
    }
    account = kind(variable, parts, options)
    name = variable.removeprefix(PREFIX).lower() if variable.startswith(PREFIX) else account.name
    return Provider(name, account, parts.scheme, **general)  # type: ignore[arg-type]


def named(environ: Mapping[str, str]) -> tuple[tuple[Provider, ...], list[str]]:
    """Return the providers of the variables PROVIDER_<NAME>, in the order of their names, and a sentence per fault."""
    found: list[Provider] = []
    wrong: list[str] = []
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or not (url := environ[variable].strip()):
            continue
        try:
            if not NAME.fullmatch(variable.removeprefix(PREFIX)):
                raise SettingsError(f"{variable}: the part after {PREFIX} must be 1 to 31 of A-Z, 0-9 and _")
            found.append(parse(variable, url))
        except SettingsError as error:
            wrong.append(str(error))
    return tuple(found), wrong


def _other(url: str, variable: str, _parts: SplitResult, options: Mapping[str, str]) -> OtherAccount:
    return OtherAccount(url, dict(options), variable)


def _options(variable: str, parts: SplitResult) -> dict[str, str]:
    options: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in options:
            raise SettingsError(f"{variable} has the option {name!r} twice: give it once")
        options[name] = value
    return options


def _number(  # noqa: PLR0913, PLR0917
    variable: str, options: dict[str, str], name: str, kind: Callable[[str], T], default: T | None, low: T, high: T
) -> T | None:
    given = options.pop(name, None)
    if given is None:
        return default
    try:
        value = kind(given) if _PLAIN.fullmatch(given) else None
    except ValueError:
        value = None
    if value is None or not low <= value <= high:
        raise SettingsError(f"{variable} has {name}={given}: give a number from {low:.10g} to {high:.10g}")
    return value


def _forms(kinds: Mapping[str, Kind]) -> str:
    forms = "smtp://user:pass@host:587 or smtps://user:pass@host:465"
    if kinds is _SMTP:
        return forms
    return f"{forms}, or begin with {', '.join(f'{kind}://' for kind in kinds if kind not in _SMTP)}"


# Those of kinds that need more at a time than mail servers admit.
_CONNECTIONS = dict.fromkeys(sms_accounts.FORMS, sms_accounts.CONNECTIONS)
_CONNECTIONS |= dict.fromkeys(push_accounts.FORMS, push_accounts.CONNECTIONS)
# A kind makes the account from the parts of the URL and the options that only this kind has.
_SMTP: dict[str, Kind] = {"smtp": smtp_url.account, "smtps": smtp_url.account}
_KINDS: dict[str, Kind] = _SMTP | dict.fromkeys(http_account.FORMS, http_account.account)
_KINDS |= dict.fromkeys(sms_accounts.FORMS, sms_accounts.account)
_KINDS |= dict.fromkeys(push_accounts.FORMS, push_accounts.account)
_CONNECTIONS = dict.fromkeys(sms_accounts.FORMS, sms_accounts.CONNECTIONS)
_CONNECTIONS |= dict.fromkeys(push_accounts.FORMS, push_accounts.CONNECTIONS)
