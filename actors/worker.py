"""Worker process: check and start everything when it boots, and stop it in order."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from functools import partial
from math import inf
from pkgutil import resolve_name
from typing import Any
from uuid import UUID, uuid4

import dramatiq
from dramatiq.middleware import Middleware

import settings
from actors import daily_limits, outcomes
from actors.actor import add_actors, running
from actors.breaker import Breaker
from actors.channels import Provider, registry
from actors.channels.email import signer
from actors.channels.email.identity import of_process as identity_of_process
from actors.channels.lease import ConnectionLease
from actors.channels.rate import SharedRate
from actors.channels.sandbox.channel import Sandbox
from actors.channels.webhook.callback import Callback
from actors.claim_store import ClaimStore
from actors.delivery import Delivery
from actors.domains import Domains
from actors.exporter import Exporter
from actors.look_ups import LookUps
from actors.outcomes import REASONS
from actors.provider_access import ProviderAccess
from actors.queue import event_loop, namespace, redis_pools
from actors.queue.broker import get_broker
from actors.queue.priorities import BY_QUEUE, PRIORITIES, PriorityQueue
from actors.reports.keys import ReportKeys
from actors.reports.opt_outs import OptOuts
from actors.reports.reader import ReportReader
from actors.reports.reported_domains import ReportedDomains
from actors.retention import Retention
from actors.routed import Providers, Routed
from actors.upkeep import Upkeep
from db import database, fitness, migrations, providers
from db.models import CALLBACK
from runtime import logs, metrics, process, tracing
from runtime.metrics import multiprocess
from settings.providers import Provider as AccountSettings

# Makes the provider of an account; of None, if its channel needs no account. The lease holds its connections, and the
# rate is shared, of all worker processes.
MakeProvider = Callable[
    [AccountSettings | None, settings.Settings, ConnectionLease | None, SharedRate | None], Provider
]

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
            registry.check(current)  # Report bad settings before anything is claimed.
            database.bind(current.database)
            migrations.check_start()
            # Set before the first consumer, which would otherwise fetch from another namespace.
            broker.namespace = namespace.stored(current.redis)
            _report(current)
            with database.connection():
                self._report_keys = ReportKeys.load(current.reports)
                self._access = ProviderAccess()
                self._access.refresh()
            _begin_at_zero(current)
            signing = signer.of_process(tuple(current.domains.secrets))
            self._domains = Domains(current, signing)
            self._domains.load()
            if fault := signing.fault():  # Otherwise the mails of the domain would use up their attempts.
                raise settings.SettingsError(fault)
            database.database.close()
            self._settings = current
        except (settings.SettingsError, fitness.Unusable, database.Unavailable) as error:
            settings.cannot_start(error)

    def before_worker_boot(self, broker: Any, worker: Any) -> None:
        current = self._settings
        redis_pools.make_sure_of_room(
            broker.client.connection_pool, worker.worker_threads + 2 * len(broker.get_declared_queues()) + SPARE
        )
        # Every thread has a message to begin with while the next messages are fetched.
        worker.queue_prefetch = max(2 * worker.worker_threads, PREFETCH)
        consumed = [
            priority
            for queue, priority in BY_QUEUE.items()
            if queue in broker.get_declared_queues() and queue in (worker.consumer_whitelist or BY_QUEUE)
        ]
        worker.work_queue = PriorityQueue(worker.worker_threads, [one.name for one in consumed])
        identity = uuid4()
        self._claim_store = ClaimStore(current, identity, [*registry.served(current), CALLBACK])
        process.collect_seldom()
        self._domains.start()
        running.delivery = event_loop.run(self._delivery(identity))
        served = {one.channel for one in consumed}
        self._upkeep = Upkeep(current, identity, worker.worker_threads, running.delivery, served)
        self._upkeep.start()
        self._retention = Retention(current.retention)
        self._retention.start()
        self._report_reader = ReportReader(self._report_keys, OptOuts.load(current), ReportedDomains.load(current))
        self._report_reader.start()
        self._look_ups = LookUps(
            {q.name: q.sources.look_up for q in running.delivery.queues if q.sources.look_up}, event_loop.run
        )
        self._look_ups.start()
        if current.telemetry.metrics_address:
            Exporter(current.telemetry, current.telemetry.metrics_address).start()
        log.info("worker.started", worker=str(identity), threads=worker.worker_threads)

    def before_worker_shutdown(self, broker: Any, worker: Any) -> None:
        self._claim_store.stop()
        for provider in self._providers:
            provider.stop()
        self._retention.stop()
        self._domains.stop()
        self._report_reader.stop()
        self._look_ups.stop()
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
        """Create the delivery on the event loop, because some providers hold objects of it."""
        current = self._settings
        identity_of_process.identities = self._report_keys.identities(current.reports)
        routed = {name: self._routed(name, identity) for name in registry.served(current)}
        callback = Callback(current)
        routed[CALLBACK] = [Routed(callback, Breaker(current, callback.provider, identity), apart=True)]
        self._providers: list[Provider] = [one.provider for several in routed.values() for one in several]
        for provider in self._providers:
            await provider.start()
        return Delivery(current, identity, self._claim_store, Providers(routed, Sandbox()), self._access)

    def _routed(self, name: str, identity: UUID) -> list[Routed]:
        """Return the providers of a channel: one for each of its accounts, or the only one if it needs none."""
        current, channel = self._settings, registry.channels()[name]
        make: MakeProvider = resolve_name(channel.provider)
        if not channel.accounts:
            own = make(None, current, None, None)
            return [Routed(own, Breaker(current, own.provider, identity), apart=True)]
        routed = []
        for account in registry.accounts(channel, current):
            redis = (get_broker().client, lambda: get_broker().namespace, account.name)
            lease = ConnectionLease(*redis, account.connections)
            processes = partial(getattr, lease, "processes")
            daily = daily_limits.make(*redis[:2], account, processes)
            rate = SharedRate(*redis, account.rate or inf, processes, daily) if account.rate or daily else None
            breaker = Breaker(current, account.name, identity, daily)
            place = (account.priority, account.weight)
            made = make(account, current, lease, rate)
            routed.append(Routed(made, breaker, *place, reaches=channel.reaches(account)))
        return routed

    async def _close(self, delivery: Delivery) -> None:
        """Wait until all outcomes are recorded, and close the connections."""
        await delivery.close()
        for provider in self._providers:
            await provider.close()
        for queue in delivery.queues:
            if queue.breaker.daily:
                await asyncio.to_thread(queue.breaker.daily.give_back)


def _report(current: settings.Settings) -> None:
    """Tell operators which providers there are."""
    with database.connection():
        for one in current.providers:
            providers.report(
                one.name,
                {
                    "channel": registry.of_scheme(one.scheme).name,
                    "priority": one.priority,
                    "weight": one.weight,
                    "connections": one.connections,
                    "rate": one.rate,
                    "daily": one.daily,
                },
            )


def _begin_at_zero(current: settings.Settings) -> None:
    """Create the series used by alerts with the value 0: Prometheus sees no increase when a series first appears."""
    served = {*registry.served(current), CALLBACK}
    for kind in [(one.name.rpartition(".")[2], one.channel) for one in PRIORITIES.values() if one.channel in served]:
        for family in (metrics.uncertain, metrics.retries, metrics.lost_races, metrics.due_to_sent):
            _ = family[kind]
        for reason in REASONS:
            _ = metrics.failed[(*kind, reason)]
    for state in ("open", "closed"):
        _ = metrics.breaker[state]
    for provider in current.providers:
        _ = (
            metrics.failovers[provider.name],
            metrics.domain_throttles[provider.name],
            metrics.domain_waits[provider.name],
        )
    for action in ("rescued", "relayed", "replayed", "unproved", "parked", "expired", "suppressed", "released"):
        _ = metrics.upkeep[action]
    for family, values in (
        (metrics.record_failures, ("settle", "doubt")),
        (metrics.connections, ("opened", "failed")),
        (metrics.callback_lags, ("sent", "failed")),
    ):
        for value in values:
            _ = family[value]
    for state in ("matched", "unmatched", "ignored", "unreadable"):
        _ = metrics.reports["api", state]


def prepare() -> None:
    """Create the broker with its actors for the `dramatiq` command. End this process if a setting is wrong."""
    try:
        broker = get_broker()
    except settings.SettingsError as error:
        settings.cannot_start(error)
    add_actors(broker, settings.load())
    broker.add_middleware(WorkerProcess())
    dramatiq.set_broker(broker)
