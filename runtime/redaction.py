"""What no log line may hold, taken out of the words of others: addresses, keys, passwords.

Our own lines are written without any of it. The words of others are another matter: a mail server's
reply echoes an address, a library's error quotes what it was given.
"""

from __future__ import annotations

import hashlib
import logging
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import orjson

from settings import Settings

SHORTEST = 4  # characters; to look for a shorter secret would blot out half of each line
WITHHELD = "text withheld"
# Theirs speak of servers and messages, whose texts have ids and no values.
PLAIN = ("redis.", "dramatiq.")
_CREDENTIALS = re.compile(r"(://)[^\s/@\"]*@")
_KEY = re.compile(r"ntf_(live|test)_(\d+)_[A-Za-z0-9_-]+|whsec_[A-Za-z0-9+/=_-]+|\b([Bb]earer|[Bb]asic) [^\s\",;]+")
# In JSON, where a quotation mark within a text has a backslash before it. Generous: what only looks like one goes too.
_ADDRESS = re.compile(r"(?:\\\"[^\"@]{1,256}\\\"|[^\s\"<>()\[\],;:\\@=/]{1,256})@(\[[^\]\s\"]{1,256}\]|[\w.-]{1,256})")


def masked(address: str) -> str:
    """An address for a log line: the same one gives the same mark, and nobody can read it back at a glance.

    The domain stays, because deliverability problems are per domain.
    """
    address = address.lower()
    digest = hashlib.sha256(address.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    _, at, domain = address.rpartition("@")
    return f"{domain}#{digest}" if at else digest


class Scrubber:
    """Takes addresses, keys and these `secrets` out of lines of JSON."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._secrets = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def line(self, line: bytes) -> bytes:
        """The line, fit to be written. A secret's place is taken by ***, an address by its mark."""
        text = line.decode("utf-8", "replace")
        if self._secrets is not None:
            text = self._secrets.sub("***", text)
        text = _CREDENTIALS.sub(r"\1***:", text)
        text = _KEY.sub("***", text)
        return _ADDRESS.sub(lambda found: masked(found[0].replace('\\"', '"')), text).encode()


def secrets(settings: Settings) -> Iterator[str]:
    """What must be known to nobody who reads the logs, of these settings."""
    for setting in fields(Settings):
        value = getattr(settings, setting.name)
        if setting.repr or not value:
            continue
        if "://" in value:
            yield from _passwords(value)
        else:
            yield value


def told(error: BaseException, *, whole: bool) -> str:
    """What is logged of an exception: its type, and of its words only those that cannot quote a value.

    PostgreSQL quotes the row that it refuses, and a KeyError the key: both may be a mail. A code says enough.
    `whole`: its words too.
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
    """A traceback without the words of its exceptions: where it happened, and by what it was caused."""
    parts: list[str] = []
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        frames = "".join(traceback.format_list(traceback.extract_tb(link.__traceback__)))
        parts.append(f"Traceback (most recent call last):\n{frames}{told(link, whole=whole)}")
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return "\n\nThe above followed this:\n\n".join(parts)


def said(record: logging.LogRecord, *, whole: bool) -> str:
    """Return a library's message, with what `told` says in the place of each exception. Never raises."""

    def fit(value: object) -> object:
        return told(value, whole=whole) if isinstance(value, BaseException) else value

    args = record.args
    try:
        if isinstance(args, Mapping):
            return str(record.msg) % {name: fit(value) for name, value in args.items()}
        return str(fit(record.msg)) % tuple(map(fit, args)) if args else str(fit(record.msg))
    except Exception:  # noqa: BLE001 - its arguments do not fit its message, and are not told
        return str(fit(record.msg))


def _passwords(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
    except ValueError:  # Whoever uses it says so.
        return
    yield unquote(parts.password or "")
    # As libpq has it, and what we ask Sentinels with.
    yield from (value for name, value in parse_qsl(parts.query) if name.endswith("password"))


def _forms(secret: str) -> set[str]:
    """As it may be written: as it is, in a URL, in JSON."""
    return {secret, quote(secret, safe=""), orjson.dumps(secret).decode()[1:-1]}
