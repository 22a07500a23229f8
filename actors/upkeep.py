"""Background loop of every worker process: heartbeat, rescue, expiry, counts, relay. Safe to run concurrently."""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from collections.abc import Collection
from uuid import UUID

import redis

from actors import daily_limits, outcomes, provider_metrics, relay, silence
from actors.counters import counters
from actors.delivery import Delivery
from actors.queue import redis_faults
from actors.queue.broker import get_broker
from actors.queue.redis_watch import RedisWatch
from actors.relay import Relay
from actors.unanswered import Unanswered
from db import backlogs, changes, erasures, history, idempotency, lifecycle, listeners, pauses, subjects, workers
from db.audit import By
from db.clock import clock
from db.database import Unacceptable, Unavailable, connection, database
from runtime import logs, metrics
from settings import Settings

log = logs.get("upkeep")

HOST = socket.gethostname()
RESCUE_BATCH = 500  # notifications per statement
EXPIRE_BATCH = 1_000  # notifications per statement
KEYS_AT_ONCE = 5_000  # rows per statement
CHANGES_AT_ONCE = 5_000  # rows per statement
WORKERS_KEPT = 86_400  # seconds that a dead worker stays in the table `workers`
ENDS_AT_ONCE = 5_000  # rows per statement
HISTORY_EVERY = 5.0  # seconds
SILENCE_EVERY = 300.0  # seconds
WORDS_EVERY = 10.0  # seconds
MOMENT = 0.01  # seconds
# Settings that decide the fate of a notification: `notify doctor` reports live workers that differ in them. Other
# settings may differ: the heartbeat holds the time-outs of its worker, and a row holds its own times.
SHARED = (
    *("MAX_ATTEMPTS", "RETRY_MIN_BACKOFF", "RETRY_MAX_BACKOFF", "UNCERTAIN_WAIT"),
    *("CALLBACK_MAX_ATTEMPTS", "CALLBACK_MIN_BACKOFF", "CALLBACK_MAX_BACKOFF"),
    *("RETENTION_SENT", "RETENTION_FAILED", "RETENTION_CANCELLED", "MAIL_FROM"),
)


class Upkeep(threading.Thread):
    """Thread that runs the rounds, with its own database connection."""

    def __init__(
        self, settings: Settings, worker: UUID, threads: int, delivery: Delivery, served: Collection[str]
    ) -> None:
        """`served`: the channels whose queues this process consumes."""
        super().__init__(name="upkeep", daemon=True)
        self._settings, self._worker, self._threads, self._delivery = settings, worker, threads, delivery
        shared = {name: settings.value(name) for name in SHARED}
        self._kept = workers.Kept(
            settings.delivery.worker_timeout,
            settings.delivery.stuck_after,
            ", ".join(queue.name for queue in delivery.queues if not queue.apart),
            shared
            | {
                workers.CAUGHT: str(bool(settings.dashboard.caught_mail)).lower(),
                workers.CHANNELS: ", ".join(sorted(served)),
            },
        )
        self._redis = RedisWatch()
        self._unanswered = Unanswered(settings, [q for q in delivery.queues if q.sources.replay_within])
        self._seen_at = math.inf  # seconds since 1970 on the database's clock: the last heartbeat
        self._history_at = self._silence_at = self._words_at = 0.0  # time.monotonic()
        self._ending = threading.Event()
        self._relay = Relay(settings, threads, delivery.routers, self._ending)

    def run(self) -> None:
        while not self._ending.is_set():
            until = time.monotonic() + self._settings.delivery.upkeep_interval
            try:
                self.tick()
                self._relay.continue_until(until)
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
        provider_metrics.measure(self._delivery.queues)
        self._beat()
        self._rescue()
        self._expire()
        self._unanswered.turn()
        self._count_history()
        self._look_for_silence()
        self._forget_keys()
        self._forget_changes()
        self._bring_back()
        self._count_backlogs()
        self._relay.share_out()
        self._redis.look()
        daily_limits.record({queue.name: queue.breaker.daily for queue in self._delivery.queues})
        self._relay.run()
        self._erase()
        self._keep_words()

    def _beat(self) -> None:
        now = time.monotonic()
        with connection():
            oldest = get_broker().oldest_in_hand()
            beat = workers.Heartbeat(
                *(self._worker, HOST, os.getpid(), self._threads, oldest, counters.all()),
                unrecorded=self._delivery.unrecorded(),
                kept=self._kept,
            )
            seen_at = workers.seen(beat, self._settings.delivery.worker_timeout)
            clock.set(seen_at)
            workers.forget(WORKERS_KEPT)
            for queue in self._delivery.queues:
                queue.breaker.refresh()
            self._delivery.access.refresh()
            self._delivery.refused_domains.refresh()
        # Measured by the database's clock, as other workers do: the local one may stop while the machine is paused.
        late = self._delivery.silent(seen_at - self._seen_at)
        self._seen_at = seen_at
        self._delivery.beaten(now, late=late)

    def _rescue(self) -> None:
        s = self._settings
        with connection():
            rescued = lifecycle.rescue(
                *(self._worker, s.delivery.worker_timeout, s.delivery.stuck_after),
                *(s.retry.max_attempts, RESCUE_BATCH, s.callbacks.max_attempts),
            )
        if rescued:
            counters.count("rescued", len(rescued))
            metrics.upkeep["rescued"].inc(len(rescued))
            log.warning("notifications.rescued", ids=rescued)

    def _expire(self) -> None:
        with connection():
            expired = lifecycle.expire(EXPIRE_BATCH)
        if expired:
            metrics.upkeep["expired"].inc(len(expired))
            log.info("notifications.expired", ids=expired)

    def _forget_keys(self) -> None:
        with connection():
            idempotency.forget(self._settings.store.idempotency_ttl, KEYS_AT_ONCE)

    def _forget_changes(self) -> None:
        until = time.monotonic() + self._settings.delivery.upkeep_interval
        with connection():
            while changes.forget(self._settings.streams.kept, CHANGES_AT_ONCE) and time.monotonic() < until:
                pass
            listeners.forget(CHANGES_AT_ONCE)

    def _count_history(self) -> None:
        """Add the new ends to the history. A failure is logged and does not stop the round."""
        if (now := time.monotonic()) < self._history_at:
            return
        self._history_at, until = now + HISTORY_EVERY, now + self._settings.delivery.upkeep_interval
        try:
            with connection():
                while history.fold(ENDS_AT_ONCE) == ENDS_AT_ONCE and time.monotonic() < until:
                    pass
                history.forget(ENDS_AT_ONCE)
        except (Unavailable, Unacceptable) as error:
            log.warning("history.not_counted", error=str(error))

    def _look_for_silence(self) -> None:
        """Notice providers whose reports have stopped. A failure is logged and does not stop the round."""
        if (now := time.monotonic()) < self._silence_at:
            return
        self._silence_at = now + SILENCE_EVERY
        try:
            with connection():
                silence.look()
        except (Unavailable, Unacceptable) as error:
            log.warning("silence.not_looked_for", error=str(error))

    def _bring_back(self) -> None:
        until = time.monotonic() + self._settings.delivery.upkeep_interval
        with connection():
            for kind, name, _ in pauses.resumed():
                while pauses.bring_back(kind, name, relay.BATCH) == relay.BATCH and time.monotonic() < until:
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
                longest = min(s.database.statement_timeout, s.delivery.worker_timeout / 6)
                backlogs.count(s.limits.pending, s.limits.backlog_interval, longest)
        except Unavailable as error:  # Counting may time out; the relay must run anyway.
            log.warning("backlogs.not_counted", error=str(error))

    def _erase(self) -> None:
        """Continue an erasure for at most one round's time. A failure is logged and does not stop the round."""
        s, until = self._settings, time.monotonic() + self._settings.delivery.upkeep_interval
        try:
            with connection():
                if (id := erasures.take()) is None:
                    return
                by = By("worker", name=HOST)
                while erasures.step(id, s.retention.erasure_batch, by) and time.monotonic() < until:
                    pass
                erasures.give_back(id, s.delivery.upkeep_interval)
        except (Unavailable, Unacceptable) as error:
            log.warning("erasure.not_done", error=str(error))

    def _keep_words(self) -> None:
        """Make filters of the words of subjects. A failure is logged and does not stop the round."""
        if (now := time.monotonic()) < self._words_at:
            return
        self._words_at, until = now + WORDS_EVERY, now + self._settings.delivery.upkeep_interval
        try:
            with connection():
                while subjects.keep() and time.monotonic() < until:
                    pass
        except (Unavailable, Unacceptable) as error:
            log.warning("subject_words.not_kept", error=str(error))

    def _say_goodbye(self) -> None:
        try:
            with connection():
                workers.gone(self._worker)
        except Unavailable:
            log.warning("worker.left_without_goodbye")
        finally:
            database.close()
