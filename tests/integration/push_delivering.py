"""A worker process that delivers push messages, for tests that are no coroutines."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

from actors.breaker import Breaker
from actors.channels.push.channel import PUSH
from actors.channels.push.provider import PushProvider
from actors.claim_store import ClaimStore
from actors.delivery import Again, Delivery
from actors.queue.priorities import PRIORITIES
from actors.routed import Routed
from settings import Settings
from tests import loops
from tests.integration.delivering import delivery_of


class PushProcess:
    """A worker process with the providers of the settings, all of which are of push services."""

    def __init__(self, settings: Settings, worker: UUID) -> None:
        self.claims = ClaimStore(settings, worker, ["push"])
        self.delivery = loops.run(self._made(settings, worker))

    async def _made(self, settings: Settings, worker: UUID) -> Delivery:
        self.providers = [PushProvider(settings, one) for one in settings.providers]
        routed = [
            Routed(made, Breaker(settings, one.name, worker), one.priority, one.weight, reaches=PUSH.reaches(one))
            for made, one in zip(self.providers, settings.providers, strict=True)
        ]
        return delivery_of(settings, worker, self.claims, {"push": routed})

    def deliver(self, ids: Sequence[int]) -> None:
        """Deliver a list of ids, as Dramatiq does for a message."""
        with suppress(Again):
            loops.run(self.delivery.deliver(list(ids), PRIORITIES["push.normal"]))

    def close(self) -> None:
        """End as a worker that stops: nothing is lost."""
        loops.run(self._close())
        self.claims.close()

    async def _close(self) -> None:
        await self.delivery.close()
        for provider in self.providers:
            await provider.close()
