"""Settings of the attempts to send a notification."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from settings.group import Group, number


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySettings(Group):
    """Read by actors.retry_policy."""

    max_attempts: int = number("MAX_ATTEMPTS", 5, "attempts", low=1, high=100)
    """The number of attempts to send one notification."""
    min_backoff: float = number("RETRY_MIN_BACKOFF", 30, "seconds", low=0.001, high=86_400)
    """The shortest delay before the second attempt; it doubles with each attempt and is multiplied by a random factor
    from 1 to 2."""
    max_backoff: float = number("RETRY_MAX_BACKOFF", 3_600, "seconds", low=0.001, high=604_800)
    """That delay stops growing here; from then on it is random, from half of this value to all of it."""

    def faults(self) -> Iterator[str]:
        if self.min_backoff > self.max_backoff:
            yield "RETRY_MIN_BACKOFF is above RETRY_MAX_BACKOFF: lower it"
