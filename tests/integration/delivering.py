"""A worker process for tests that are no coroutines."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from actors.breaker import Breaker
from actors.channels import Channel
from actors.channels.email.channel import Email
from actors.channels.sandbox.channel import Sandbox
from actors.channels.webhook.channel import Callback
from actors.claim_store import ClaimStore
from actors.delivery import Delivery
from actors.queue.priorities import PRIORITIES, Priority
from db import workers
from db.models import CALLBACK
from db.records import Claimed, Settlement
from settings import Settings
from tests import loops


class Process:
    """A worker process: its event loop is that of all tests, which deliver from threads of their own."""

    def __init__(self, settings: Settings, worker: Any) -> None:
        self.claims, self.email, self.callback = ClaimStore(settings, worker), Email(settings), Callback(settings)
        self.ledger = self.claims  # alias of an older name
        self.delivery = loops.run(self._delivery(settings, worker))
        self.breaker, self.stopping = self.delivery.breaker, self.delivery.stopping

    async def _delivery(self, settings: Settings, worker: Any) -> Delivery:
        channels: dict[str, Channel] = {"email": self.email, "sandbox": Sandbox(), CALLBACK: self.callback}
        return Delivery(settings, worker, self.claims, channels, Breaker(settings, self.email.provider, worker))

    def deliver(self, ids: Sequence[int], priority: Priority = PRIORITIES["normal"]) -> None:
        """Deliver a list of ids, as Dramatiq does for a message."""
        loops.run(self.delivery.deliver(list(ids), priority))

    def beaten(self, at: float, *, late: bool) -> None:
        """Report a heartbeat, as upkeep does."""
        self.delivery.beaten(at, late=late)

    def unrecorded(self) -> workers.Unrecorded:
        """Return what the heartbeat reports as unrecorded."""
        return self.delivery.unrecorded()

    def claim(self, ids: Sequence[int]) -> list[Claimed]:
        """Claim without sending."""
        return loops.run(self.claims.claim(ids))

    def settle(self, settlement: Settlement) -> Future[bool]:
        """Have an outcome recorded."""

        async def recorded() -> bool:
            return await self.claims.settle(settlement)

        return loops.submit(recorded())

    def close(self) -> None:
        """End as a worker that stops: nothing is lost."""
        loops.run(self.delivery.close())
        self.claims.close()
