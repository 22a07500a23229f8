"""Round of upkeep for notifications that wait for evidence, because an attempt had no answer."""

from __future__ import annotations

from collections.abc import Sequence

from actors.provider_queue import ProviderQueue
from actors.retry_policy import RetryPolicy
from db import lifecycle
from db.database import connection
from runtime import logs, metrics
from settings import Settings

log = logs.get("upkeep")

AT_ONCE = 500  # notifications per statement


class Unanswered:
    """Repeats notifications where their provider recognises the repetition, and ends those that waited in vain."""

    def __init__(self, settings: Settings, replaying: Sequence[ProviderQueue]) -> None:
        """`replaying`: the queues of the providers that recognise a message that is repeated."""
        policy = RetryPolicy.of("", settings)
        self._spacing = lifecycle.Spacing(policy.attempts, policy.least, policy.most)
        self._replaying = [queue.name for queue in replaying]

    def turn(self) -> None:
        """Make both transitions for what is due."""
        with connection():
            ended = lifecycle.give_up(AT_ONCE)
            again = lifecycle.replay(self._replaying, self._spacing, AT_ONCE) if self._replaying else []
        if ended:
            metrics.upkeep["unproved"].inc(len(ended))
            log.warning("notifications.unproved", ids=ended)
        if again:
            metrics.upkeep["replayed"].inc(len(again))
            log.info("notifications.replayed", ids=again)
