"""Ask DNS for the records of a domain, within bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import dns.asyncresolver
import dns.exception
import dns.name
import dns.resolver

from actors.channels.email.domains.comparing import Comparison, compared
from actors.channels.email.domains.records import Envelope, Wanted, wanted
from db.domains import Known
from settings import Settings
from settings.domains import DomainSettings

LIFETIME = 5.0  # seconds for one record, with all repetitions
TIMEOUT = 10.0  # seconds for a domain
# A DMARC record is looked for in the domain, and in at most so many above it, down to those of two labels.
ABOVE = 4


class Checked(NamedTuple):
    """A record with what DNS says about it."""

    record: Wanted
    comparison: Comparison


class Check(NamedTuple):
    """Check of a domain."""

    records: Sequence[Checked]

    @property
    def present(self) -> list[int]:
        """Ids of the keys that DNS has."""
        return self._keys("found")

    @property
    def absent(self) -> list[int]:
        """Ids of the keys whose record is missing or wrong."""
        return self._keys("missing", "wrong")

    @property
    def found(self) -> dict[str, dict[str, object]]:
        """The comparisons by the place of the record, to store."""
        return {
            one.record.place: {
                "state": one.comparison.state,
                "detail": one.comparison.detail,
                "found": list(one.comparison.found),
            }
            for one in self.records
        }

    def _keys(self, *states: str) -> list[int]:
        return [one.record.key.id for one in self.records if one.record.key and one.comparison.state in states]


async def check(known: Known, settings: Settings) -> Check:
    """Ask DNS for all records of a domain at the same time. Hold no database connection meanwhile."""
    resolver = _resolver(settings.domains)
    records = list(wanted(known.domain.domain, known.keys, Envelope.of(settings)))
    comparisons = await asyncio.gather(*(_comparison(resolver, record) for record in records))
    return Check([Checked(record, comparison) for record, comparison in zip(records, comparisons, strict=True)])


def _resolver(settings: DomainSettings) -> dns.asyncresolver.Resolver:
    """Return the resolver of the settings, or that of the system. One that knows no server answers nothing."""
    resolver = dns.asyncresolver.Resolver(configure=False)
    if settings.dns_address is None:
        with suppress(dns.resolver.NoResolverConfiguration):
            resolver.read_resolv_conf("/etc/resolv.conf")
    if address := settings.dns_address:
        resolver.nameservers, resolver.port = [address[0]], address[1]
    resolver.lifetime = LIFETIME
    return resolver


async def _comparison(resolver: dns.asyncresolver.Resolver, record: Wanted) -> Comparison:
    try:
        async with asyncio.timeout(TIMEOUT):
            return compared(record, await _first(resolver, _names(record), record.type))
    except TimeoutError:
        return compared(record, None)


async def _first(resolver: dns.asyncresolver.Resolver, names: Sequence[str], type: str) -> list[str] | None:
    """Return the values at the first name that has some; None if DNS gave no answer."""
    for name in names:
        values = await _values(resolver, name, type)
        if values or values is None:
            return values
    return []


def _names(record: Wanted) -> list[str]:
    """Return the names at which a record may be: a DMARC record of a domain above counts too (RFC 7489, 6.6.3)."""
    if record.purpose != "dmarc":
        return [record.name]
    labels = record.name.split(".")[1:]
    above = range(1, len(labels) - 1)[-ABOVE:]
    return [f"_dmarc.{'.'.join(labels[start:])}" for start in (0, *above)]


async def _values(resolver: dns.asyncresolver.Resolver, name: str, type: str) -> list[str] | None:
    """Return the values at a name, of a TXT record with its strings joined; None if DNS gave no answer."""
    try:
        answer = await resolver.resolve(dns.name.from_text(f"{name}."), type, search=False)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except (dns.exception.DNSException, OSError):
        return None
    if type == "TXT":
        return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]
    return [str(record) for record in answer]
