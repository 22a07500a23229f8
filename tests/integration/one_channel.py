"""A worker process that delivers one channel, for tests that are no coroutines."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pkgutil import resolve_name
from uuid import uuid4

from actors.breaker import Breaker
from actors.channels import Provider, registry
from actors.claim_store import ClaimStore
from actors.delivery import Again, Delivery
from actors.queue.priorities import PRIORITIES
from actors.routed import Routed
from actors.worker import MakeProvider
from settings import Settings
from tests import loops
from tests.integration.delivering import delivery_of


class ChannelProcess:
    """A worker process with the providers that its settings have for a channel."""

    def __init__(self, settings: Settings, channel: str) -> None:
        self._priority = PRIORITIES["normal" if channel == "email" else f"{channel}.normal"]
        self._worker = uuid4()
        self._claims = ClaimStore(settings, self._worker, [channel])
        self._providers: list[Provider] = []
        self.delivery = loops.run(self._made(settings, channel))

    async def _made(self, settings: Settings, name: str) -> Delivery:
        channel = registry.channel(name)
        make: MakeProvider = resolve_name(channel.provider)
        routed = []
        for account in registry.accounts(channel, settings) if channel.accounts else [None]:
            self._providers.append(made := make(account, settings, None, None))
            breaker = Breaker(settings, made.provider, self._worker)
            place = (account.priority, account.weight) if account else (1, 1)
            routed.append(Routed(made, breaker, *place, apart=account is None))
        return delivery_of(settings, self._worker, self._claims, {name: routed})

    def deliver(self, ids: Sequence[int]) -> None:
        """Deliver a list of ids, as Dramatiq does for a message."""
        with suppress(Again):
            loops.run(self.delivery.deliver(list(ids), self._priority))

    def close(self) -> None:
        """End as a worker that stops: nothing is lost."""
        loops.run(self._close())
        self._claims.close()

    async def _close(self) -> None:
        await self.delivery.close()
        for provider in self._providers:
            await provider.close()
