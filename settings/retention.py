"""Settings of how long data is kept, and of erasure and export."""

from __future__ import annotations

from dataclasses import dataclass

from settings.group import Group, number


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSettings(Group):
    """Read by db.policy, actors.retention, and the erasures and exports of the API and the command line."""

    sent: float = number("RETENTION_SENT", 0, "seconds", low=0, high=3_153_600_000)
    """Notifications are deleted this long after they were sent; `0` keeps them."""
    failed: float = number("RETENTION_FAILED", 0, "seconds", low=0, high=3_153_600_000)
    """Notifications are deleted this long after they failed; `0` keeps them."""
    cancelled: float = number("RETENTION_CANCELLED", 0, "seconds", low=0, high=3_153_600_000)
    """Notifications are deleted this long after they were cancelled; `0` keeps them."""
    lateness: float = number("RETENTION_LATENESS", 86_400, "seconds", low=0, high=31_536_000)
    """How much longer a row may stay so that its whole partition can be dropped instead of single rows."""
    interval: float = number("RETENTION_INTERVAL", 300, "seconds", low=1, high=86_400)
    """The time between two rounds of retention; one worker at a time does them."""
    batch: int = number("RETENTION_BATCH", 2_000, "rows", low=1, high=100_000)
    """How many rows one statement of retention reads."""
    erasure_batch: int = number("ERASURE_BATCH", 500, "rows", low=1, high=100_000)
    """How many rows one step of an erasure changes."""
    audit_kept: float = number("AUDIT_KEPT", 34_560_000, "seconds", low=0, high=3_153_600_000)
    """How long audit records are kept (400 days by default); `0` keeps them."""
    partition_size: int = number("PARTITION_SIZE", 10_000_000, "ids", low=1_000_000, high=1_000_000_000_000)
    """How many ids a partition holds; plan for a few dozen partitions at most."""
