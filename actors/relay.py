"""Relay: enqueue the due rows that have no wake-up message in Redis."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence

from actors.counters import counters
from actors.queue import wake_up
from actors.queue.broker import get_broker
from actors.queue.fairness import Fairness, possible_priorities
from actors.queue.priorities import PRIORITIES, Depth, Priority
from actors.queue.wake_up import messages
from actors.routing import Router
from db import workers
from db.database import connection
from db.lifecycle import relay
from runtime import logs, metrics
from settings import Settings

log = logs.get("upkeep")

PAUSE_PARK = 3_600  # seconds until a paused notification is looked at again; a resume brings it back at once
BATCH = 2_000  # notifications that are enqueued at once
RELAYS = 10  # passes per round of upkeep, at most, while more rows are due than the queues may hold


class Relay:
    """Relay of one worker process. Upkeep's thread calls `share_out` and then `run` in each round."""

    def __init__(
        self, settings: Settings, threads: int, routers: Mapping[str, Router], ending: threading.Event
    ) -> None:
        self._settings, self._threads, self._routers, self._ending = settings, threads, routers, ending
        self._priorities = [one for one in PRIORITIES.values() if one.channel in routers]
        self._fairness = Fairness()
        self._crowded: list[Priority] = []  # those whose queue had no room left in the last pass

    def share_out(self) -> None:
        """Decide how many notifications of each channel this worker may enqueue in this round, by its breakers."""
        s = self._settings
        with connection():
            self._live_workers = workers.live_workers(s.delivery.worker_timeout)
        part = self._threads / max(1, self._live_workers.threads)
        most = RELAYS * s.queue.relay_watermark * wake_up.MESSAGE_SIZE
        self._shares = {channel: router.share(most, part) for channel, router in self._routers.items()}

    def run(self) -> None:
        """Enqueue the due rows of every priority, as far as the queues have room. Raises redis.RedisError."""
        self._pass(self._priorities)

    def continue_until(self, until: float) -> None:
        """Relay again within the round, for the priorities of which more rows are due than their queues may hold."""
        pause = self._settings.delivery.upkeep_interval / RELAYS
        while self._crowded and time.monotonic() + pause < until and not self._ending.wait(pause):
            self._pass(self._crowded)

    def _pass(self, priorities: Sequence[Priority]) -> None:
        depths = get_broker().depths()
        self._crowded = []
        for priority in priorities:
            share = self._shares[priority.channel]
            self._shares[priority.channel] -= self._top_up(priority, depths, share)

    def _top_up(self, priority: Priority, depths: Mapping[str, Depth], share: int) -> int:
        """Enqueue due rows of a priority, up to `share` rows and the watermark; return how many."""
        room, enqueued = self._settings.queue.relay_watermark - depths[priority.name].waiting, 0
        # Paused rows take no room in the queue, so bound the time too: the heartbeat must not be late.
        until = time.monotonic() + self._settings.delivery.worker_timeout / 6
        while room > 0 and share > enqueued and time.monotonic() < until and not self._ending.is_set():
            met, due, sent = self._enqueue_due(priority.name, min(BATCH, share - enqueued), depths)
            if not met:
                break
            room, enqueued = room - sent, enqueued + due
        if room <= 0:
            self._crowded.append(priority)
        return enqueued

    def _enqueue_due(self, priority: str, most: int, depths: Mapping[str, Depth]) -> tuple[int, int, int]:
        """Enqueue about `most` due rows; return the numbers of rows met, rows enqueued and messages."""
        s = self._settings
        # The message of a retry is dated by its sender, shortly after the row: allow one round for the difference.
        broker, others = get_broker(), self._live_workers.oldest_messages
        ages = [
            max(broker.oldest_message(PRIORITIES[way].queue), others.get(way, 0.0))
            for way in possible_priorities(priority)
        ]
        oldest = max(ages) + s.delivery.upkeep_interval
        with connection():
            met = relay.take_due(priority, s.queue.relay_grace, oldest, most, PAUSE_PARK)
        due = [d for d in met if not d.parked]
        if len(due) < len(met):
            metrics.upkeep["parked"].inc(len(met) - len(due))
            log.info("notifications.parked", priority=priority, count=len(met) - len(due))
        if not due:
            return len(met), 0, 0
        queued = [message for d in due if d.alone for message in messages([d.id], 1, 1, priority)]
        for client, ids in _by_client(due).items():
            self._fairness.count(priority, client, len(ids))
            by = self._fairness.priority(priority, client, depths[priority].unfinished)
            queued += messages(ids, self._live_workers.threads, wake_up.MESSAGE_SIZE, by)
        broker.enqueue_all(queued, due[0].enqueued_at)
        counters.count("relayed", len(due))
        metrics.upkeep["relayed"].inc(len(due))
        log.info("wake_up.relayed", priority=priority, count=len(due), messages=len(queued))
        return len(met), len(due), len(queued)


def _by_client(due: Sequence[relay.Due]) -> dict[int, list[int]]:
    ids: defaultdict[int, list[int]] = defaultdict(list)
    for row in due:
        if not row.alone:
            ids[row.client].append(row.id)
    return ids
