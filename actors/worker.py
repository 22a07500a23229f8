"""Worker process: check and start everything when it boots, and stop it in order."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import dramatiq
from dramatiq.middleware import Middleware

import settings
from actors import outcomes
from actors.actor import add_actors, running
from actors.breaker import Breaker
from actors.channels import Channel
from actors.channels.email.channel import Email
from actors.channels.email.http.provider import HttpMailProvider
from actors.channels.email.mailboxes import mail_from
from actors.channels.email.providers import make
from actors.channels.email.signer import Signer
from actors.channels.lease import ConnectionLease
from actors.channels.rate import SharedRate
from actors.channels.sandbox.channel import Sandbox
from actors.channels.webhook.channel import Callback
from actors.claim_store import ClaimStore
from actors.delivery import Delivery, Providers, Routed
from actors.domains import Domains
from actors.exporter import Exporter
from actors.outcomes import REASONS
from actors.queue import event_loop, namespace, redis_pools
from actors.queue.broker import get_broker
from actors.queue.priorities import PRIORITIES, PriorityQueue
from actors.retention import Retention
from actors.upkeep import Upkeep
from db import database, fitness, migrations, providers
from db.models import CALLBACK
from runtime import logs, metrics, process, tracing
from runtime.metrics import multiprocess

log = logs.get("worker")

PREFETCH = 32  # messages that a process fetches in advance, or twice its number of threads if that is more
SPARE = 4  # connections to Redis for upkeep and probes, besides one for each thread and two for each queue


class WorkerProcess(Middleware):
    """Middleware that starts and stops our threads and event loop tasks with Dramatiq's worker."""

    def after_process_boot(self, broker: Any) -> None:
        master = process.die_with_master()
        process.stop_once()
        # Write to stderr directly. Dramatiq's pipe has one reader for all processes, which may break lines up.
        sys.stderr = sys.__stderr__
        current = settings.load()
        logs.configure(current, "worker")
        multiprocess.share(current.telemetry.metrics_dir, master or os.getppid(), "worker")
        try:
            tracing.start(current.telemetry, "worker")
            for provider in current.providers:  # Report bad settings before anything is claimed.
                mail_from(provider.sender or current.smtp.sender)
            database.bind(current.database)
            migrations.check_start()
            # Set before the first consumer, which would otherwise fetch from another namespace.
            broker.namespace = namespace.stored(current.redis)
            _report(current)
            _begin_at_zero(current)
            self._signer = Signer(current.domains.secrets)
            self._domains = Domains(current.domains, self._signer)
            self._domains.load()
            if fault := self._signer.fault():  # Otherwise the mails of the domain would use up their attempts.
                raise settings.SettingsError(fault)
            database.database.close()
            self._settings = current
        except (settings.SettingsError, fitness.Unusable, database.Unavailable) as error:
            settings.cannot_start(error)

    def before_worker_boot(self, broker: Any, worker: Any) -> None:
        current = self._settings
        redis_pools.make_sure_of_room(
            broker.client.connection_pool, worker.worker_threads + 2 * len(PRIORITIES) + SPARE
        )
        # Every thread has a message to begin with while the next messages are fetched.
        worker.queue_prefetch = max(2 * worker.worker_threads, PREFETCH)
        worker.work_queue = PriorityQueue(worker.worker_threads, current.queue.priority_reserve)
        identity = uuid4()
        self._claim_store = ClaimStore(current, identity)
        process.collect_seldom()
        self._domains.start()
        running.delivery = event_loop.run(self._delivery(identity))
        self._upkeep = Upkeep(current, identity, worker.worker_threads, running.delivery)
        self._upkeep.start()
        self._retention = Retention(current.retention)
        self._retention.start()
        if current.telemetry.metrics_address:
            Exporter(current.telemetry, current.telemetry.metrics_address).start()
        log.info("worker.started", worker=str(identity), threads=worker.worker_threads)

    def before_worker_shutdown(self, broker: Any, worker: Any) -> None:
        self._claim_store.stop()
        for channel in self._mail:
            channel.stop()
        self._retention.stop()
        self._domains.stop()
        if running.delivery is not None:
            running.delivery.stopping.set()

    def after_worker_shutdown(self, broker: Any, worker: Any) -> None:
        if running.delivery is not None:
            event_loop.run(self._close(running.delivery))
        self._claim_store.close()
        outcomes.count()
        self._upkeep.stop(self._settings.process.shutdown_grace)
        tracing.stop()
        log.info("worker.stopped")

    async def _delivery(self, identity: UUID) -> Delivery:
        """Create the delivery on the event loop, because some channels hold objects of it."""
        current, broker = self._settings, get_broker()
        self._mail: list[Email | HttpMailProvider] = []
        routed: list[Routed] = []
        for provider in current.providers:
            redis = (broker.client, lambda: broker.namespace, provider.name)
            lease = ConnectionLease(*redis, provider.connections)
            rate = SharedRate(*redis, provider.rate, partial(getattr, lease, "processes")) if provider.rate else None
            self._mail.append(make(provider, current, lease, rate, self._signer))
            breaker = Breaker(current, provider.name, identity)
            routed.append(Routed(self._mail[-1], breaker, provider.priority, provider.weight))
        callback = Callback(current)
        self._channels: list[Channel] = [*self._mail, callback]
        for channel in self._channels:
            await channel.start()
        return Delivery(current, identity, self._claim_store, Providers(routed, callback, Sandbox()))

    async def _close(self, delivery: Delivery) -> None:
        """Wait until all outcomes are recorded, and close the connections."""
        await delivery.close()
        for channel in self._channels:
            await channel.close()


def _report(current: settings.Settings) -> None:
    """Tell operators which providers there are."""
    with database.connection():
        for one in current.providers:
            config = {"priority": one.priority, "weight": one.weight, "connections": one.connections, "rate": one.rate}
            providers.report(one.name, config)


def _begin_at_zero(current: settings.Settings) -> None:
    """Create the series used by alerts with the value 0: Prometheus sees no increase when a series first appears."""
    for kind in [(priority, CALLBACK if priority == CALLBACK else "email") for priority in PRIORITIES]:
        for family in (metrics.uncertain, metrics.retries, metrics.lost_races, metrics.due_to_sent):
            _ = family[kind]
        for reason in REASONS:
            _ = metrics.failed[(*kind, reason)]
    for state in ("open", "closed"):
        _ = metrics.breaker[state]
    for provider in current.providers:
        _ = metrics.failovers[provider.name]
    for action in ("rescued", "relayed", "parked", "expired", "suppressed", "released"):
        _ = metrics.upkeep[action]
    for stage in ("settle", "doubt"):
        _ = metrics.record_failures[stage]
    for result in ("opened", "failed"):
        _ = metrics.connections[result]
    for result in ("sent", "failed"):
        _ = metrics.callback_lags[result]


def prepare() -> None:
    """Create the broker with its actors for the `dramatiq` command. End this process if a setting is wrong."""
    try:
        broker = get_broker()
    except settings.SettingsError as error:
        settings.cannot_start(error)
    add_actors(broker, settings.load())
    broker.add_middleware(WorkerProcess())
    dramatiq.set_broker(broker)
