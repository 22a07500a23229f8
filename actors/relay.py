"""Relay: enqueue the due rows that have no wake-up message in Redis."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence

from actors.counters import counters
from actors.queue.broker import Depth, get_broker
from actors.queue.fairness import Fairness, possible_priorities
from actors.queue.priorities import PRIORITIES
from actors.queue.wake_up import messages
from actors.routing import Router
from db import workers
from db.database import connection
from db.lifecycle import relay
from db.models import CALLBACK
from runtime import logs, metrics
from settings import Settings

log = logs.get("upkeep")

PAUSE_PARK = 3_600  # seconds until a paused notification is looked at again; a resume brings it back at once
RELAYS = 10  # passes per round of upkeep, at most, while more rows are due than the queues may hold


class Relay:
    """Relay of one worker process. Upkeep's thread calls `share_out` and then `run` in each round."""

    def __init__(self, settings: Settings, threads: int, router: Router, ending: threading.Event) -> None:
        self._settings, self._threads, self._router, self._ending = settings, threads, router, ending
        self._fairness = Fairness(settings.queue)
        self._crowded = False  # True if a queue had no room in the last pass

    def share_out(self) -> None:
        """Decide how many callbacks and mails this worker may enqueue in this round; the breakers limit the mails."""
        s = self._settings
        with connection():
            self._live_workers = workers.live_workers(s.delivery.worker_timeout)
        part = self._threads / max(1, self._live_workers.threads)
        self._callbacks = RELAYS * s.queue.relay_watermark * s.queue.message_size
        self._mails = self._router.share(self._callbacks, part)

    def run(self) -> None:
        """Enqueue the due rows of every priority, as far as the queues have room. Raises redis.RedisError."""
        depths = get_broker().depths()
        self._crowded = False
        for priority in PRIORITIES:
            # The breakers of mail servers do not concern callbacks.
            if priority == CALLBACK:
                self._callbacks -= self._top_up(priority, depths, self._callbacks)
            else:
                self._mails -= self._top_up(priority, depths, self._mails)

    def continue_until(self, until: float) -> None:
        """Relay again within the round while more rows are due than the queues may hold."""
        pause = self._settings.delivery.upkeep_interval / RELAYS
        while self._crowded and time.monotonic() + pause < until and not self._ending.wait(pause):
            self.run()

    def _top_up(self, priority: str, depths: Mapping[str, Depth], share: int) -> int:
        """Enqueue due rows of a priority, up to `share` rows and the watermark; return how many."""
        room, enqueued = self._settings.queue.relay_watermark - depths[priority].waiting, 0
        # Paused rows take no room in the queue, so bound the time too: the heartbeat must not be late.
        until = time.monotonic() + self._settings.delivery.worker_timeout / 6
        while room > 0 and share > enqueued and time.monotonic() < until and not self._ending.is_set():
            met, due, sent = self._enqueue_due(
                priority, min(self._settings.queue.relay_batch, share - enqueued), depths
            )
            if not met:
                break
            room, enqueued = room - sent, enqueued + due
        self._crowded |= room <= 0
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
            queued += messages(ids, self._live_workers.threads, s.queue.message_size, by)
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
