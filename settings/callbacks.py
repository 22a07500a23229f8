"""Settings of callbacks: the requests that tell a client what happened to its notifications."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

from settings.errors import SettingsError
from settings.group import Group, fault, number, text

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackSettings(Group):
    """Read by actors.channels.webhook, actors.retry_policy and api.resources.callbacks."""

    endpoints: int = number("CALLBACK_ENDPOINTS", 10, "endpoints", low=1, high=1_000)
    """How many callback endpoints a client may register."""
    max_attempts: int = number("CALLBACK_MAX_ATTEMPTS", 12, "attempts", low=1, high=100)
    """The number of attempts to deliver one callback."""
    min_backoff: float = number("CALLBACK_MIN_BACKOFF", 10, "seconds", low=0.001, high=86_400)
    """The shortest delay before the second attempt; it doubles with each attempt and is multiplied by a random factor
    from 1 to 2."""
    max_backoff: float = number("CALLBACK_MAX_BACKOFF", 21_600, "seconds", low=0.001, high=604_800)
    """That delay stops growing here."""
    timeout: float = number("CALLBACK_TIMEOUT", 10, "seconds", low=0.1, high=60)
    """The time for one attempt, from the name lookup to the answer."""
    rest: float = number("CALLBACK_REST", 30, "seconds", low=0, high=3_600)
    """How long a worker process leaves an endpoint alone that did not answer in time."""
    allowed_networks: str = text("CALLBACK_ALLOWED_NETWORKS", "networks")
    """The private networks in which callback endpoints and destinations may be, over plain HTTP too."""

    @property
    def networks(self) -> tuple[Network, ...]:
        """CALLBACK_ALLOWED_NETWORKS as networks."""
        try:
            return tuple(ipaddress.ip_network(n.strip()) for n in self.allowed_networks.split(",") if n.strip())
        except ValueError:
            raise SettingsError(
                "CALLBACK_ALLOWED_NETWORKS is malformed: give networks, for example 10.1.0.0/16, fd00:1::/64"
            ) from None

    def faults(self) -> Iterator[str]:
        if self.min_backoff > self.max_backoff:
            yield "CALLBACK_MIN_BACKOFF is above CALLBACK_MAX_BACKOFF: lower it"
        yield from fault(lambda: self.networks)
