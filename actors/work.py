"""Interface between the queues of providers and delivery, which handles their outcomes."""

from __future__ import annotations

from typing import Protocol

from actors.batches import Job
from actors.channels import Sender
from db.records import Claimed, Settlement


class Work(Protocol):
    """Sends the jobs of a queue and handles their outcomes."""

    def may_send(self, job: Job) -> bool:
        """Return whether the job may still be begun."""

    async def attempt(
        self, job: Job, sender: Sender, next_notification: Claimed | None, *, patient: bool
    ) -> Settlement:
        """Send the job and return its settlement.

        Raises:
            NoConnection, TryElsewhere, and Throttled if `patient`: it was not sent, and no attempt is counted.
        """

    async def move(self, job: Job) -> None:
        """Hand the job to another provider, because its own has certainly not taken it."""

    async def settled(self, job: Job, settlement: Settlement) -> None:
        """Handle an outcome that is not recorded yet."""

    def recorded(self, job: Job, settlement: Settlement, *, owned: bool) -> None:
        """Handle a recorded outcome. `owned` is False if another worker has claimed the notification since."""
