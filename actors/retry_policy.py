"""Retry policy of each type of notification: number of attempts and delays between them."""

from __future__ import annotations

from typing import NamedTuple

from db.models import CALLBACK
from settings import Settings


class RetryPolicy(NamedTuple):
    """Number of attempts in all, and the shortest and longest delay between two of them, in seconds."""

    attempts: int
    least: float
    most: float

    @classmethod
    def of(cls, type: str, settings: Settings) -> RetryPolicy:
        """Return the policy for a type of notification, or for the priority `callback`."""
        if type == CALLBACK:
            return cls(settings.callbacks.max_attempts, settings.callbacks.min_backoff, settings.callbacks.max_backoff)
        return cls(settings.retry.max_attempts, settings.retry.min_backoff, settings.retry.max_backoff)
