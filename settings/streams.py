"""Settings of long polls and event streams."""

from __future__ import annotations

from dataclasses import dataclass

from settings.group import Group, number


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettings(Group):
    """Read by api.streaming."""

    long_poll_max: int = number("LONG_POLL_MAX", 60, "seconds", low=1, high=600)
    """The longest `wait` of a long poll."""
    listeners: int = number("STREAM_LISTENERS", 5_000, "streams", low=1, high=100_000)
    """How many streams may be open in one API process, how many long polls may wait, three quarters of each from one
    client, and how many pages of the dashboard are kept up to date; more get 503."""
    heartbeat: float = number("STREAM_HEARTBEAT", 15, "seconds", low=0.1, high=600)
    """A stream without changes sends a comment after this long. A stream is closed when its client reads nothing for
    twice this long."""
    seconds: float = number("STREAM_SECONDS", 3_600, "seconds", low=0.1, high=86_400)
    """A stream ends after this long, and its client reconnects."""
    kept: float = number("STREAM_KEPT", 3_600, "seconds", low=60, high=604_800)
    """How long changes are kept, and how long they are recorded after the last listener left."""
