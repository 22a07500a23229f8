"""Remove addresses, keys and passwords from log lines.

Our own texts contain none of them, but quoted texts may: a mail server's reply repeats an address, and a library's
error quotes its arguments.
"""

from __future__ import annotations

import hashlib
import logging
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import orjson

from settings import VARIABLES, Settings

SHORTEST = 4  # characters; masking a shorter secret would make the lines unreadable
WITHHELD = "text withheld"
# Packages whose errors are about servers and messages: their texts contain ids, but no values.
PLAIN = ("redis.", "dramatiq.")
_CREDENTIALS = re.compile(r"(://)[^\s/@\"]*@")
_KEY = re.compile(r"ntf_(live|test)_(\d+)_[A-Za-z0-9_-]+|whsec_[A-Za-z0-9+/=_-]+|\b([Bb]earer|[Bb]asic) [^\s\",;]+")
# An address in JSON, where a quotation mark in a text is escaped. Also matches texts that only look like an address.
# The second alternative passes over other escapes: an address that began within one would leave half of it behind.
_ADDRESS = re.compile(
    r"((?:\\\"[^\"@]{1,256}\\\"|[^\s\"<>()\[\],;:\\@=/]{1,256})@(?:\[[^\]\s\"]{1,256}\]|[\w.-]{1,256}))"
    r"|\\(?:u[0-9A-Fa-f]{4}|.)"
)


def masked(address: str) -> str:
    """Return a mark for an address in a log line. The same address gives the same mark.

    The local part is replaced by a hash. The domain stays, because delivery problems are often those of a domain.
    """
    address = address.lower()
    digest = hashlib.sha256(address.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    _, at, domain = address.rpartition("@")
    return f"{domain}#{digest}" if at else digest


class Scrubber:
    """Remover of addresses, keys and the given secrets from lines of JSON."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._secrets = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def line(self, line: bytes) -> bytes:
        """Return the line with each secret replaced by ***, and each address by its mark."""
        text = line.decode("utf-8", "replace")
        if self._secrets is not None:
            text = self._secrets.sub("***", text)
        text = _CREDENTIALS.sub(r"\1***:", text)
        text = _KEY.sub("***", text)
        return _ADDRESS.sub(lambda found: masked(found[1].replace('\\"', '"')) if found[1] else found[0], text).encode()


def secrets(settings: Settings) -> Iterator[str]:
    """Return the secrets among the settings."""
    for variable, (_, setting) in VARIABLES.items():
        value = settings.value(variable)
        if setting.repr or not value:
            continue
        if "://" in value:
            yield from _passwords(value)
        else:
            yield value
    yield from settings.domains.secrets  # It may be several, each of which is a secret.
    for provider in settings.named_providers:
        yield from provider.secrets


def told(error: BaseException, *, whole: bool) -> str:
    """Return the type of an exception, and its text if that cannot quote a value. `whole`: always the text.

    PostgreSQL quotes the row that it refuses, and a KeyError its key; both may contain personal data. Their code is
    returned instead.
    """
    name = type(error).__name__
    if whole:
        return f"{name}: {error}"
    code = getattr(getattr(error, "orig", error), "pgcode", None)
    if code:
        return f"{name}: SQLSTATE {code}"
    if type(error).__module__.startswith(PLAIN):
        return f"{name}: {error}"
    if isinstance(error, OSError) and error.strerror and isinstance(error.errno, int):
        return f"{name}: [Errno {error.errno}] {error.strerror}"
    return f"{name}: {WITHHELD}" if error.args else name


def traced(error: BaseException, *, whole: bool) -> str:
    """Return the traceback of an exception and its causes, with the texts that `told` returns."""
    parts: list[str] = []
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        frames = "".join(traceback.format_list(traceback.extract_tb(link.__traceback__)))
        parts.append(f"Traceback (most recent call last):\n{frames}{told(link, whole=whole)}")
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return "\n\nThe above exception was caused by this one:\n\n".join(parts)


def said(record: logging.LogRecord, *, whole: bool) -> str:
    """Return a library's message in which each exception is replaced by the result of `told`. Never raises."""

    def fit(value: object) -> object:
        return told(value, whole=whole) if isinstance(value, BaseException) else value

    args = record.args
    try:
        if isinstance(args, Mapping):
            return str(record.msg) % {name: fit(value) for name, value in args.items()}
        return str(fit(record.msg)) % tuple(map(fit, args)) if args else str(fit(record.msg))
    except Exception:  # noqa: BLE001 - the arguments do not fit the message, and are left out
        return str(fit(record.msg))


def _passwords(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
    except ValueError:  # The setting's reader reports a malformed URL.
        return
    yield unquote(parts.password or "")
    for name, value in parse_qsl(parts.query):
        # `password` of libpq, and `sentinel_password` of REDIS_URL.
        if name.endswith("password"):
            yield value
        elif name in ("reports", "reports_secret"):  # of SMTP_URL
            yield from value.replace(" ", "+").split(",")


def _forms(secret: str) -> set[str]:
    """Return the forms of a secret: plain, in a URL, in JSON."""
    return {secret, quote(secret, safe=""), orjson.dumps(secret).decode()[1:-1]}
