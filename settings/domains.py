"""Settings of sending domains: their DKIM keys and their DNS records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from settings.errors import SettingsError
from settings.group import Group, fault, secret, text
from settings.hosts import is_domain_name
from settings.public import SHORTEST_SECRET


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainSettings(Group):
    """Read by everything that makes, uses or checks the DKIM keys of domains."""

    keys_secret: str = secret("DOMAIN_KEYS_SECRET")
    """The secret that encrypts the private DKIM keys in the database, the same for the API and the workers. Several may
    be separated by commas: the first encrypts, all decrypt."""
    spf_include: str = text("SPF_INCLUDE")
    """The domain whose SPF record lists your mail servers; domains are told to include it."""
    dns_server: str = text("DNS_SERVER")
    """The DNS server that checks domains, as an address such as `192.0.2.53` or `192.0.2.53:5353`; the default is that
    of the system."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """The parts of DOMAIN_KEYS_SECRET; empty if it is not set."""
        return tuple(part.strip() for part in self.keys_secret.split(",") if part.strip())

    @property
    def dns_address(self) -> tuple[str, int] | None:
        """Address and port of DNS_SERVER, None for that of the system; raises SettingsError."""
        if not self.dns_server:
            return None
        host, _, port = self.dns_server.rpartition(":") if self._has_port else (self.dns_server, "", "53")
        try:
            number = int(port) if port.isascii() and port.isdecimal() else 0
            if not 0 < number < 65_536:
                raise ValueError
            return str(ip_address(host.strip("[]"))), number
        except ValueError:
            raise SettingsError(
                f"DNS_SERVER is {self.dns_server!r}: give an IP address such as 192.0.2.53, or with a port such as "
                "192.0.2.53:5353 or [2001:db8::53]:5353"
            ) from None

    @property
    def _has_port(self) -> bool:
        return self.dns_server.count(":") == 1 or "]:" in self.dns_server

    def faults(self) -> Iterator[str]:
        yield from fault(lambda: self.dns_address)
        if any(len(part) < SHORTEST_SECRET for part in self.secrets):
            yield (
                f"DOMAIN_KEYS_SECRET must have at least {SHORTEST_SECRET} characters: make one with "
                "`openssl rand -hex 32`, and give the same one to the API and the workers"
            )
        # Unlike a host, a domain in DNS may have labels that begin with an underscore.
        if self.spf_include and not is_domain_name(self.spf_include.replace("_", "")):
            yield f"SPF_INCLUDE is {self.spf_include!r}: give a domain name such as _spf.example.net"
