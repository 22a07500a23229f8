"""Settings of Redis: its address, the prefix of our keys, and how long to wait for it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Self

from settings import redis_address, sentinel_url
from settings.errors import SettingsError
from settings.group import Group, fault, number, secret, text
from settings.sentinel_url import Sentinels

# Characters that every key of Redis and the command line of Dramatiq's tools take without quoting.
NAMESPACE = re.compile(r"[A-Za-z0-9_{}.-]+(:[A-Za-z0-9_{}.-]+)*")
WAIT = 1.0  # seconds that a worker waits in Redis for a message at a time; it notices a stop after that
MAX_NAMESPACE = 64  # characters
SCHEMES = (
    *redis_address.SCHEMES,
    *(f"{scheme}{sentinel_url.SUFFIX}" for scheme in ("redis", "rediss")),
)
_HOW = "give Redis as redis://host:6379/0, or run `notify up`"


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisSettings(Group):
    """Read by actors.queue, and by api.access for the limits."""

    url: str = secret("REDIS_URL")
    """The address of Redis 6.2 or newer, or of Valkey: `redis://host:6379/0`."""
    namespace: str = text("REDIS_NAMESPACE")
    """The prefix of every key in Redis; the default is `notify:` and the identity stored in the database."""
    timeout: float = number("REDIS_TIMEOUT", 3, "seconds", low=1.1, high=60)
    """The time for one command to Redis."""

    @property
    def sentinels(self) -> Sentinels | None:
        """The Sentinels of REDIS_URL; None if it names the server itself."""
        return sentinel_url.parse(self.url) if sentinel_url.is_sentinel(self.url) else None

    @property
    def server(self) -> redis_address.Address:
        """The one server of a REDIS_URL without Sentinels; raises SettingsError."""
        try:
            return redis_address.parse(self.url)
        except redis_address.Wrong as error:
            raise SettingsError(str(error)) from None

    def require(self) -> None:
        """Raise a SettingsError if REDIS_URL is not set."""
        if not self.url:
            raise SettingsError(f"REDIS_URL is not set: {_HOW}")

    def completed(self, given: Collection[str]) -> Self:
        """Take the time-out from the option socket_timeout of REDIS_URL."""
        try:
            server = self.sentinels or (self.server if self.url else None)
        except SettingsError:  # `faults` reports it.
            return self
        seconds = server.options.get("socket_timeout") if server else None
        if seconds is None:
            return self
        if "timeout" in given and self.timeout != seconds:
            raise SettingsError(
                "REDIS_URL has the option socket_timeout, and REDIS_TIMEOUT differs: remove one of them"
            )
        return replace(self, timeout=seconds)

    def faults(self) -> Iterator[str]:
        if self.timeout <= WAIT:  # It came from the URL.
            yield f"REDIS_URL has the option socket_timeout, which must be above {WAIT:g}: raise it"
        yield from fault(self._check_url)
        if self.namespace and (len(self.namespace) > MAX_NAMESPACE or not NAMESPACE.fullmatch(self.namespace)):
            yield (
                f"REDIS_NAMESPACE is malformed: give at most {MAX_NAMESPACE} letters, digits, _ . - {{ }} and single "
                "colons between them, for example notify:staging"
            )

    def _check_url(self) -> None:
        if self.url and self.url.partition("://")[0] not in SCHEMES:
            raise SettingsError(f"REDIS_URL does not start with {SCHEMES[0]}://: {_HOW}")
        if self.url:
            _ = self.sentinels or self.server
