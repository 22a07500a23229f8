"""A worker process for tests that are no coroutines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any
from uuid import UUID

import redis

from actors.breaker import Breaker
from actors.channels.email.providers import make
from actors.channels.lease import ConnectionLease
from actors.channels.registry import channels
from actors.channels.sandbox.channel import Sandbox
from actors.channels.webhook.callback import Callback
from actors.claim_store import ClaimStore
from actors.delivery import Delivery
from actors.queue.priorities import PRIORITIES, Priority
from actors.routed import Providers, Routed
from actors.wanted import Wanted
from db import workers
from db.models import CALLBACK
from db.records import Claimed, Settlement
from settings import Settings
from settings.providers import Provider
from tests import loops


class Process:
    """A worker process: its event loop is that of all tests, which deliver from threads of their own."""

    def __init__(self, settings: Settings, worker: Any, client: redis.Redis | None = None) -> None:
        """`client`: the Redis through which it shares connections with other processes."""
        self.worker = worker
        self.claims, self.callback = ClaimStore(settings, worker, [*channels(), CALLBACK]), Callback(settings)
        self.servers = [make(provider, settings, _lease(provider, client)) for provider in settings.providers]
        self.email = self.servers[0]
        self.delivery = loops.run(self._delivery(settings, worker))
        self.mails = self.delivery.routers["email"].queues[0]
        self.breaker, self.stopping = self.mails.breaker, self.delivery.stopping

    async def _delivery(self, settings: Settings, worker: Any) -> Delivery:
        for server in self.servers:
            await server.start()
        mail = [
            Routed(server, Breaker(settings, server.provider, worker), provider.priority, provider.weight)
            for server, provider in zip(self.servers, settings.providers, strict=True)
        ]
        never_open = Breaker(settings, self.callback.provider, worker)
        routed = {"email": mail, CALLBACK: [Routed(self.callback, never_open, apart=True)]}
        return delivery_of(settings, worker, self.claims, routed)

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
        return loops.run(self.claims.claim(Wanted(ids)))

    def claim_for(self, ids: Sequence[int], provider: str) -> list[Claimed]:
        """Claim for a provider, as if all were begun at once, without sending."""
        return loops.run(self.claims.claim(Wanted(ids, (), len(ids), dict.fromkeys(ids, provider))))

    def settle(self, settlement: Settlement) -> Future[bool]:
        """Have an outcome recorded."""

        async def recorded() -> bool:
            return await self.claims.settle(settlement)

        return loops.submit(recorded())

    def close(self) -> None:
        """End as a worker that stops: nothing is lost."""
        loops.run(self._close())
        self.claims.close()

    async def _close(self) -> None:
        await self.delivery.close()
        for server in self.servers:
            await server.close()
        await self.callback.close()


def delivery_of(
    settings: Settings, worker: UUID, claims: ClaimStore, routed: Mapping[str, Sequence[Routed]]
) -> Delivery:
    """Return a delivery that never takes its worker for dead: nobody beats for it, however long a test takes."""
    delivery = Delivery(settings, worker, claims, Providers(routed, Sandbox()))
    delivery.beaten(math.inf, late=False)
    return delivery


def _lease(provider: Provider, client: redis.Redis | None) -> ConnectionLease | None:
    return ConnectionLease(client, lambda: "notify:test", provider.name, provider.connections) if client else None
