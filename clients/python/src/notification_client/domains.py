"""Sending domains: their DKIM keys, and the DNS records that they need."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from notification_client.calls import Call, call, items_of, nothing, path
from notification_client.decoding import Model
from notification_client.performing import AsyncPerformer, Performer


@dataclass(frozen=True, kw_only=True)
class DomainRecord(Model):
    """A DNS record to publish. `state`: found, missing, wrong, or unknown before the first check."""

    purpose: str
    type: str
    name: str
    value: str
    required: bool
    state: str
    detail: str
    found: list[str]


@dataclass(frozen=True, kw_only=True)
class DomainKey(Model):
    """A DKIM key. `state`: new, current or old."""

    selector: str
    algorithm: str
    state: str
    created_at: datetime
    signs_from: datetime | None = None
    signs_until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Domain(Model):
    """A domain. `state`: pending, verified or failing."""

    domain: str
    state: str
    created_at: datetime
    records: list[DomainRecord]
    keys: list[DomainKey]
    checked_at: datetime | None = None


class Domains:
    """The client's sending domains."""

    def __init__(self, client: Performer) -> None:
        self._client = client

    def add(self, domain: str, *, ed25519: bool = False) -> Domain:
        """Add a domain and make its keys; one that is there keeps its keys."""
        return self._client.perform(_add(domain, ed25519))

    def all(self) -> list[Domain]:
        """Return all domains, by name."""
        return self._client.perform(_all())

    def get(self, domain: str) -> Domain:
        """Return a domain with what the last check found; raise NotFound."""
        return self._client.perform(_get(domain))

    def check(self, domain: str) -> Domain:
        """Check the records of a domain in DNS now; raise NotFound."""
        return self._client.perform(_check(domain))

    def rotate(self, domain: str) -> Domain:
        """Make new keys, which replace the current ones once a check finds them in DNS; raise NotFound."""
        return self._client.perform(_rotate(domain))

    def remove(self, domain: str) -> None:
        """Remove a domain with its keys; raise NotFound."""
        return self._client.perform(_remove(domain))


class AsyncDomains:
    """The client's sending domains."""

    def __init__(self, client: AsyncPerformer) -> None:
        self._client = client

    async def add(self, domain: str, *, ed25519: bool = False) -> Domain:
        """Add a domain and make its keys; one that is there keeps its keys."""
        return await self._client.perform(_add(domain, ed25519))

    async def all(self) -> list[Domain]:
        """Return all domains, by name."""
        return await self._client.perform(_all())

    async def get(self, domain: str) -> Domain:
        """Return a domain with what the last check found; raise NotFound."""
        return await self._client.perform(_get(domain))

    async def check(self, domain: str) -> Domain:
        """Check the records of a domain in DNS now; raise NotFound."""
        return await self._client.perform(_check(domain))

    async def rotate(self, domain: str) -> Domain:
        """Make new keys, which replace the current ones once a check finds them in DNS; raise NotFound."""
        return await self._client.perform(_rotate(domain))

    async def remove(self, domain: str) -> None:
        """Remove a domain with its keys; raise NotFound."""
        return await self._client.perform(_remove(domain))


def _add(domain: str, ed25519: bool) -> Call[Domain]:
    # Added twice, the domain keeps its keys.
    document = {"domain": domain, "ed25519": ed25519}
    return call("POST", path("domains"), Domain.read, document, repeatable=True)


def _all() -> Call[list[Domain]]:
    return call("GET", path("domains"), items_of(Domain.read))


def _get(domain: str) -> Call[Domain]:
    return call("GET", path("domains", domain), Domain.read)


def _check(domain: str) -> Call[Domain]:
    return call("POST", path("domains", domain, "check"), Domain.read, repeatable=True)


def _rotate(domain: str) -> Call[Domain]:
    # Until a check has found the new keys, a repetition makes no others.
    return call("POST", path("domains", domain, "rotate"), Domain.read, repeatable=True)


def _remove(domain: str) -> Call[None]:
    return call("DELETE", path("domains", domain), nothing)
