"""Settings of the workers: how long they hold a notification, and when they count as dead."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from settings.group import Group, number

RECORDING = 30  # seconds of STUCK_AFTER that are left to record an outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySettings(Group):
    """Read by actors.delivery, its claim store and upkeep."""

    stuck_after: float = number("STUCK_AFTER", 3_600, "seconds", low=1, high=86_400)
    """Another worker takes over a notification that a live worker has held for this long. It must be above LIST_BUDGET
    and the SMTP time-outs together."""
    list_budget: float = number("LIST_BUDGET", 60, "seconds", low=1, high=3_600)
    """A worker hands back the unsent rest of a message after this long."""
    worker_timeout: float = number("WORKER_TIMEOUT", 30, "seconds", low=1, high=3_600)
    """A worker is considered dead after this long without a heartbeat, and other workers take over its
    notifications."""
    uncertain_wait: float = number("UNCERTAIN_WAIT", 900, "seconds", low=0, high=604_800)
    """How long a notification with `onUncertain: hold` waits for evidence about an attempt without an answer, before it
    fails as `outcome-unknown`. It waits only where evidence can come."""
    upkeep_interval: float = number("UPKEEP_INTERVAL", 1, "seconds", low=0.05, high=60)
    """The time between two heartbeats of a worker, and between two searches for due, abandoned and expired
    notifications."""

    def send_limit(self, data_timeout: float) -> float:
        """Return the seconds in which a mail must be out; its reply may take `data_timeout` seconds more.

        STUCK_AFTER counts from the claim of a message, whose last mail begins within LIST_BUDGET.
        """
        return self.stuck_after - self.list_budget - data_timeout - RECORDING

    def faults(self) -> Iterator[str]:
        if self.worker_timeout <= 2 * self.upkeep_interval:
            yield "WORKER_TIMEOUT must be more than twice UPKEEP_INTERVAL, or live workers would be considered dead"
        if self.list_budget >= self.stuck_after:
            yield "LIST_BUDGET must be below STUCK_AFTER, or rescue would take work from live workers"
