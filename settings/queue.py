"""Settings of the messages in Redis that wake workers up."""

from __future__ import annotations

from dataclasses import dataclass

from settings.group import Group, number


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings(Group):
    """Read by actors.queue and by the relay."""

    relay_grace: float = number("RELAY_GRACE", 10, "seconds", low=0.1, high=3_600)
    """How long a due notification stays pending before the relay enqueues it again."""
    relay_watermark: int = number("RELAY_WATERMARK", 2_000, "messages", low=1, high=1_000_000)
    """The relay stops enqueueing while this many messages wait in Redis; the rest waits in PostgreSQL."""
    spread: int = number("WAKE_UP_SPREAD", 16, "messages", low=1, high=10_000)
    """The API spreads simultaneous notifications over this many messages, so that several worker threads share
    them."""
