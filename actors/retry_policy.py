"""How often each kind of notification is tried, and how long it waits between."""

from __future__ import annotations

from typing import NamedTuple

from db.models import CALLBACK
from settings import Settings


class Budget(NamedTuple):
    """Attempts in all; the least and the most delay between two, in seconds."""

    attempts: int
    least: float
    most: float

    @classmethod
    def of(cls, type: str, settings: Settings) -> Budget:
        """Of a notification's type; callbacks, which alone have a lane of their own, may be named by it."""
        if type == CALLBACK:
            return cls(settings.callback_max_attempts, settings.callback_min_backoff, settings.callback_max_backoff)
        return cls(settings.max_attempts, settings.retry_min_backoff, settings.retry_max_backoff)
