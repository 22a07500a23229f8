"""The DNS records that a sending domain needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self

from db.domain_keys import DomainKey
from settings import Settings

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
        """Type and name of the record, which identify it within the domain."""
        return f"{self.type} {self.name}"


class Envelope(NamedTuple):
    """Envelopes of mails, as the settings have them.

    `spf_include`: the domain to include in an SPF record; if empty, there is no advice on SPF. `return_path`: the
    domain of their sender; if empty, it is that of the mail.
    """

    spf_include: str = ""
    return_path: str = ""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the envelopes that these settings give."""
        return cls(settings.domains.spf_include, settings.reports.return_path_domain)


def wanted(domain: str, keys: Sequence[DomainKey], envelope: Envelope) -> Iterator[Wanted]:
    """Yield the records for a domain with these keys, the required ones first."""
    for key in keys:
        value = f"v=DKIM1; k={key.algorithm}; p={key.public_key}"
        yield Wanted("dkim", f"{key.selector}._domainkey.{domain}", value, key.state != "old", key)
    # Receivers look up SPF for the domain of the envelope's sender, and return to it what they cannot deliver.
    sender = envelope.return_path or domain
    if envelope.spf_include:
        yield Wanted("spf", sender, f"v=spf1 include:{envelope.spf_include} ~all")
    yield Wanted("return-path", sender, "", type="MX")
    yield Wanted("dmarc", f"_dmarc.{domain}", "v=DMARC1; p=none")


def zone_line(record: Wanted) -> str:
    """Return the record as a line of a zone file, with a value of several strings if it is long."""
    starts = range(0, len(record.value), STRING)
    strings = " ".join(f'"{record.value[start : start + STRING]}"' for start in starts)
    return f"{record.name}. IN {record.type} {strings}"
