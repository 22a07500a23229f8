"""The DNS records that a sending domain needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from db.domain_keys import DomainKey

STRING = 255  # octets of one string in a TXT record (RFC 1035, section 3.3.14)


class Wanted(NamedTuple):
    """A record to publish. `purpose`: dkim, spf, return-path or dmarc. `type`: TXT or MX. `key`: the key that it holds.

    `value`: empty if only you know it. `required`: without it nothing is signed.
    """

    purpose: str
    name: str
    value: str
    required: bool = False
    key: DomainKey | None = None
    type: str = "TXT"

    @property
    def place(self) -> str:
        """Its type and name, which no other record of the domain has."""
        return f"{self.type} {self.name}"


def wanted(domain: str, keys: Sequence[DomainKey], spf_include: str) -> Iterator[Wanted]:
    """Yield the records for a domain with these keys, the required ones first.

    `spf_include`: the domain to include in its SPF record; if empty, there is no advice on SPF.
    """
    for key in keys:
        value = f"v=DKIM1; k={key.algorithm}; p={key.public_key}"
        yield Wanted("dkim", f"{key.selector}._domainkey.{domain}", value, key.state != "old", key)
    if spf_include:
        yield Wanted("spf", domain, f"v=spf1 include:{spf_include} ~all")
    # A mail server returns what it cannot deliver to the sender of the envelope, which is the sender of the mail.
    yield Wanted("return-path", domain, "", type="MX")
    yield Wanted("dmarc", f"_dmarc.{domain}", "v=DMARC1; p=none")


def zone_line(record: Wanted) -> str:
    """Return the record as a line of a zone file, with a value of several strings if it is long."""
    starts = range(0, len(record.value), STRING)
    strings = " ".join(f'"{record.value[start : start + STRING]}"' for start in starts)
    return f"{record.name}. IN {record.type} {strings}"
