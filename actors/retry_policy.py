"""Retry policy of each type of notification: number of attempts and delays between them."""

from __future__ import annotations

from typing import NamedTuple

from db.models import CALLBACK
from settings import Settings


class Budget(NamedTuple):
    """Number of attempts in all, and the shortest and longest delay between two of them, in seconds."""

    attempts: int
    least: float
    most: float

    @classmethod
    def of(cls, type: str, settings: Settings) -> Budget:
        """Return the policy for a type of notification, or for the priority `callback`."""
        if type == CALLBACK:
            return cls(settings.callback_max_attempts, settings.callback_min_backoff, settings.callback_max_backoff)
        return cls(settings.max_attempts, settings.retry_min_backoff, settings.retry_max_backoff)
