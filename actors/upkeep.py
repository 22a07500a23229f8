"""Background loop of every worker process: heartbeat, rescue, expiry, counts, relay. Safe to run concurrently."""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

import redis

from actors import outcomes
from actors.counters import tallies
from actors.delivery import Delivery
from actors.queue import redis_faults
from actors.queue.broker import Depth, broker
from actors.queue.fairness import Turns, ways
from actors.queue.priorities import LANES
from actors.queue.redis_watch import RedisWatch
from actors.queue.wake_up import messages
from db import backlogs, changes, erasures, idempotency, lifecycle, listeners, pauses, relay, workers
from db.audit import By
from db.database import Unacceptable, Unavailable, connection, database
from db.models import CALLBACK
from runtime import logs, metrics
from settings import Settings

log = logs.get("upkeep")

HOST = socket.gethostname()
KEYS_AT_ONCE = 5_000  # rows per statement
CHANGES_AT_ONCE = 5_000  # rows per statement
RELAYS = 10  # relay passes per round, at most, while more rows are due than the queues may hold
MOMENT = 0.01  # seconds
# Settings that decide the fate of a notification: `notify doctor` reports live workers that differ in them. Other
# settings may differ: the heartbeat holds the time-outs of its worker, and a row holds its own times.
SHARED = (
    *("max_attempts", "retry_min_backoff", "retry_max_backoff"),
    *("callback_max_attempts", "callback_min_backoff", "callback_max_backoff"),
    *("retention_sent", "retention_failed", "retention_cancelled", "mail_from"),
)


class Upkeep(threading.Thread):
    """Thread that runs the rounds, with its own database connection."""

    def __init__(self, settings: Settings, worker: UUID, threads: int, delivery: Delivery) -> None:
        super().__init__(name="upkeep", daemon=True)
        self._settings, self._worker, self._threads, self._delivery = settings, worker, threads, delivery
        self._turns = Turns(settings)
        shared = {name.upper(): getattr(settings, name) for name in SHARED}
        self._kept = workers.Kept(
            settings.worker_timeout,
            settings.stuck_after,
            delivery.breaker.provider,
            shared | {workers.CAUGHT: str(bool(settings.caught_mail)).lower()},
        )
        self._redis = RedisWatch()
        self._seen_at = math.inf  # seconds since 1970 on the database's clock: the last heartbeat
        self._ending = threading.Event()

    def run(self) -> None:
        while not self._ending.is_set():
            until = time.monotonic() + self._settings.upkeep_interval
            try:
                self.tick()
                self._go_on_ringing(until)
            except Unavailable as error:
                log.warning("database.unavailable", error=str(error))
            except redis.RedisError as error:
                log.warning("redis.unavailable", error=type(error).__name__, reason=redis_faults.of(error).what)
            except Exception:
                # Keep running: without upkeep the others would consider this worker dead.
                log.exception("upkeep.failed")
            self._ending.wait(max(MOMENT, until - time.monotonic()))
        self._say_goodbye()

    def stop(self, timeout: float) -> None:
        """End the loop and remove this worker from the list of live workers."""
        self._ending.set()
        self.join(timeout)

    def tick(self) -> None:
        """Run one round. Redis comes late in it, because it may make us wait."""
        outcomes.count()
        self._beat()
        self._rescue()
        self._expire()
        self._forget_keys()
        self._forget_changes()
        self._bring_back()
        self._count_backlogs()
        self._share_out()
        self._redis.look()
        self._relay()
        self._erase()

    def _beat(self) -> None:
        now = time.monotonic()
        with connection():
            bells = broker.oldest_in_hand()
            beat = workers.Heartbeat(
                *(self._worker, HOST, os.getpid(), self._threads, bells, tallies.all()),
                unrecorded=self._delivery.unrecorded(),
                kept=self._kept,
            )
            seen_at = workers.seen(beat, self._settings.worker_timeout)
            broker.tell_time(seen_at)
            workers.forget(self._settings.workers_kept)
            self._delivery.breaker.refresh()
        # Measured by the database's clock, as other workers do: the local one may stop while the machine is paused.
        late = self._delivery.silent(seen_at - self._seen_at)
        self._seen_at = seen_at
        self._delivery.beaten(now, late=late)

    def _rescue(self) -> None:
        s = self._settings
        with connection():
            rescued = lifecycle.rescue(
                *(self._worker, s.worker_timeout, s.stuck_after),
                *(s.max_attempts, s.rescue_batch, s.callback_max_attempts),
            )
        if rescued:
            tallies.count("rescued", len(rescued))
            metrics.upkeep["rescued"].inc(len(rescued))
            log.warning("notifications.rescued", ids=rescued)

    def _expire(self) -> None:
        with connection():
            expired = lifecycle.expire(self._settings.expire_batch)
        if expired:
            metrics.upkeep["expired"].inc(len(expired))
            log.info("notifications.expired", ids=expired)

    def _forget_keys(self) -> None:
        with connection():
            idempotency.forget(self._settings.idempotency_ttl, KEYS_AT_ONCE)

    def _forget_changes(self) -> None:
        until = time.monotonic() + self._settings.upkeep_interval
        with connection():
            while changes.forget(self._settings.stream_kept, CHANGES_AT_ONCE) and time.monotonic() < until:
                pass
            listeners.forget(CHANGES_AT_ONCE)

    def _bring_back(self) -> None:
        until = time.monotonic() + self._settings.upkeep_interval
        with connection():
            for kind, name, _ in pauses.resumed():
                most = self._settings.relay_batch
                while pauses.bring_back(kind, name, most) == most and time.monotonic() < until:
                    pass
                pauses.forget(kind, name)

    def _count_backlogs(self) -> None:
        s = self._settings
        with connection():
            mine = backlogs.take_turn()
        if not mine:
            return
        try:
            with connection():
                backlogs.count(s.pending_limit, s.backlog_interval, min(s.db_statement_timeout, s.worker_timeout / 6))
        except Unavailable as error:  # Counting may time out; the relay must run anyway.
            log.warning("backlogs.not_counted", error=str(error))

    def _share_out(self) -> None:
        """Decide how many callbacks and mails this worker may enqueue in this round; the breaker limits the mails."""
        s = self._settings
        with connection():
            self._crew = workers.crew(s.worker_timeout)
        part = self._threads / max(1, self._crew.threads)
        self._callbacks = RELAYS * s.relay_watermark * s.ring_size
        self._mails = self._delivery.breaker.share(self._callbacks, part)

    def _relay(self) -> None:
        depths = broker.depths()
        self._crowded = False
        for lane in LANES:
            # The breaker of the mail server does not concern callbacks.
            if lane == CALLBACK:
                self._callbacks -= self._top_up(lane, depths, self._callbacks)
            else:
                self._mails -= self._top_up(lane, depths, self._mails)

    def _erase(self) -> None:
        """Continue an erasure for at most one round's time. A failure is logged and does not stop the round."""
        s, until = self._settings, time.monotonic() + self._settings.upkeep_interval
        try:
            with connection():
                if (id := erasures.take()) is None:
                    return
                by = By("worker", name=HOST)
                while erasures.step(id, s.erasure_batch, by) and time.monotonic() < until:
                    pass
                erasures.give_back(id, s.upkeep_interval)
        except (Unavailable, Unacceptable) as error:
            log.warning("erasure.not_done", error=str(error))

    def _go_on_ringing(self, until: float) -> None:
        """Relay again within the round while more rows are due than the queues may hold."""
        pause = self._settings.upkeep_interval / RELAYS
        while self._crowded and time.monotonic() + pause < until and not self._ending.wait(pause):
            self._relay()

    def _top_up(self, lane: str, depths: Mapping[str, Depth], share: int) -> int:
        """Enqueue due rows of a priority, up to `share` rows and the watermark; return how many."""
        room, rung = self._settings.relay_watermark - depths[lane].waiting, 0
        # Paused rows take no room in the queue, so bound the time too: the heartbeat must not be late.
        until = time.monotonic() + self._settings.worker_timeout / 6
        while room > 0 and share > rung and time.monotonic() < until and not self._ending.is_set():
            met, due, bells = self._ring_due(lane, min(self._settings.relay_batch, share - rung), depths)
            if not met:
                break
            room, rung = room - bells, rung + due
        self._crowded |= room <= 0
        return rung

    def _ring_due(self, lane: str, most: int, depths: Mapping[str, Depth]) -> tuple[int, int, int]:
        """Enqueue about `most` due rows; return the numbers of rows met, rows enqueued and messages."""
        s = self._settings
        # The message of a retry is dated by its sender, shortly after the row: allow one round for the difference.
        ages = [max(broker.oldest_bell(LANES[way].queue), self._crew.oldest_bells.get(way, 0.0)) for way in ways(lane)]
        oldest = max(ages) + s.upkeep_interval
        with connection():
            met = relay.take_due(lane, s.relay_grace, oldest, most, s.pause_park)
        due = [d for d in met if not d.parked]
        if len(due) < len(met):
            metrics.upkeep["parked"].inc(len(met) - len(due))
            log.info("notifications.parked", lane=lane, count=len(met) - len(due))
        if not due:
            return len(met), 0, 0
        bells = [bell for d in due if d.alone for bell in messages([d.id], 1, 1, lane)]
        for client, ids in _by_client(due).items():
            self._turns.count(lane, client, len(ids))
            by = self._turns.lane(lane, client, depths[lane].unfinished)
            bells += messages(ids, self._crew.threads, s.ring_size, by)
        broker.ring(bells, due[0].rung_at)
        tallies.count("rung", len(due))
        metrics.upkeep["relayed"].inc(len(due))
        log.info("bell.rung_again", lane=lane, count=len(due), messages=len(bells))
        return len(met), len(due), len(bells)

    def _say_goodbye(self) -> None:
        try:
            with connection():
                workers.gone(self._worker)
        except Unavailable:
            log.warning("worker.left_without_goodbye")
        finally:
            database.close()


def _by_client(due: Sequence[relay.Due]) -> dict[int, list[int]]:
    ids: defaultdict[int, list[int]] = defaultdict(list)
    for row in due:
        if not row.alone:
            ids[row.client].append(row.id)
    return ids
