"""Settings of the HTTP server: its address, and the bounds of requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from settings.group import Group, choice, fault, number, text
from settings.hosts import host_and_port, is_loopback


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings(Group):
    """Read by gunicorn.conf.py and api.http."""

    bind: str = text("BIND", "host:port", default="127.0.0.1:8000")
    """The address on which the API listens."""
    auth: str = choice("AUTH", "required", "off")
    """`required`: every request needs a key. `off`: every request acts as the client `default` with every scope."""
    head_timeout: float = number("HEAD_TIMEOUT", 10, "seconds", low=0.1, high=600)
    """The head of a request must arrive within this time, or the connection is closed."""
    body_timeout: float = number("BODY_TIMEOUT", 10, "seconds", low=0.1, high=600)
    """The body of a request must arrive within this time."""
    body_limit: int = number("BODY_LIMIT", 10_485_760, "bytes", low=1_024, high=104_857_600)
    """The largest body of a request: ATTACHMENTS_SIZE in base64, and 1 MiB for everything else."""
    bodies_limit: int = number("BODIES_LIMIT", 104_857_600, "bytes", low=1_048_576, high=10_737_418_240)
    """The total size of bodies above 1 MiB that one API process holds at a time; more get 503. They need up to four
    times as much memory. One client may use three quarters."""

    @property
    def address(self) -> tuple[str, int]:
        """BIND as host and port."""
        return host_and_port("BIND", self.bind, "127.0.0.1:8000")

    @property
    def local(self) -> bool:
        """True if only this machine can reach the API."""
        return is_loopback(self.address[0])

    @property
    def exposed(self) -> bool:
        """True if other machines can reach the API and need no key."""
        return self.auth == "off" and not self.local

    def faults(self) -> Iterator[str]:
        if self.bodies_limit < self.body_limit:
            yield "BODIES_LIMIT must not be below BODY_LIMIT, or the largest body would never fit"
        yield from fault(lambda: self.address)
