"""Limits of recipient domains, from texts such as gmail.com=20/s,5;yahoo.com=10/s."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import idna

from settings.errors import SettingsError
from settings.hosts import is_domain_name

EXAMPLE = "gmail.com=20/s,5;example.org=300/h"
_SECONDS = {"s": 1, "min": 60, "h": 3_600}
_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)/([a-z]+)")
_COUNT = re.compile(r"[0-9]{1,4}")
MAX_RATE, MAX_CONNECTIONS = 100_000.0, 1_000


class DomainLimit(NamedTuple):
    """Mails per second to a domain, and at a time; None if unlimited."""

    rate: float | None
    connections: int | None


def parse(variable: str, text: str) -> Mapping[str, DomainLimit]:
    """Return the limits by domain, in lower case and in ASCII; raise SettingsError."""
    found: dict[str, DomainLimit] = {}
    for entry in filter(None, map(str.strip, text.split(";"))):
        name, given, values = entry.partition("=")
        domain = _domain(name.strip())
        if not (domain and given and values.strip()):
            raise SettingsError(f"{variable} has {entry!r}: give a domain, = and its limits, as in {EXAMPLE}")
        if domain in found:
            raise SettingsError(f"{variable} has {domain} twice: give it once, with both limits, as in {EXAMPLE}")
        found[domain] = _limit(variable, entry, values)
    return found


def _domain(name: str) -> str:
    try:
        domain = name.lower() if name.isascii() else idna.encode(name, uts46=True).decode()
    except idna.IDNAError:
        return ""
    return domain if is_domain_name(domain) and "." in domain else ""


def _limit(variable: str, entry: str, values: str) -> DomainLimit:
    rate = connections = None
    for value in _values(values):
        if matched := _RATE.fullmatch(value):
            number, unit = matched.groups()
            if rate is not None or unit not in _SECONDS or not 0 < float(number) <= MAX_RATE:
                break
            rate = float(number) / _SECONDS[unit]
        elif _COUNT.fullmatch(value) and connections is None and 1 <= int(value) <= MAX_CONNECTIONS:
            connections = int(value)
        else:
            break
    else:
        return DomainLimit(rate, connections)
    raise SettingsError(
        f"{variable} has {entry!r}: after = give a rate such as 20/s, 100/min or 300/h (up to {MAX_RATE:.10g}), "
        f"a number of mails at a time from 1 to {MAX_CONNECTIONS}, or both, as in {EXAMPLE}"
    )


def _values(values: str) -> Iterator[str]:
    return map(str.strip, values.split(","))
