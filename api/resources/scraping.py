"""/metrics: the metrics of this machine's processes, and those that PostgreSQL has for all machines."""

from __future__ import annotations

import asyncio
import math
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from falcon.asgi import Request, Response
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.access.auth import SCRAPER, require
from api.resources import report_metrics
from api.resources.redis_health import RedisHealth
from api.store import NotificationStore
from db import backlogs, live_stats
from db.database import Unavailable, connection, database
from db.history.lately import Lately
from db.models import CALLBACK, PRIORITIES
from runtime import logs
from runtime.metrics import exposition
from settings import Settings

log = logs.get("metrics")

TIMEOUT = 2.0  # seconds that /metrics waits for PostgreSQL; then it answers without its numbers
PROVIDERS = 20  # most providers whose breaker is exported


class Metrics:
    """GET: the page that Prometheus reads. It is made at most once in METRICS_CACHE seconds."""

    def __init__(self, store: NotificationStore, redis: RedisHealth) -> None:
        self._settings, self._redis = store.settings, redis
        self._truth = Truth(store.settings)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="metrics")
        self._pages: dict[tuple[bool, bool], tuple[float, exposition.Page]] = {}
        self._reading = asyncio.Lock()

    async def on_get(self, req: Request, resp: Response) -> None:
        if req.context.caller is not SCRAPER:
            require(req, "admin")
        page = await self._page(req.get_header("Accept") or "", req.get_header("Accept-Encoding") or "")
        resp.content_type = page.type
        resp.set_header("Vary", "Accept, Accept-Encoding")
        if page.encoding:
            resp.set_header("Content-Encoding", page.encoding)
        resp.data = page.body

    on_head = on_get

    async def _page(self, accept: str, encodings: str) -> exposition.Page:
        kind = exposition.kind(accept, encodings)
        async with self._reading:
            at, page = self._pages.get(kind, (-math.inf, None))
            if page is None or time.monotonic() - at >= self._settings.telemetry.metrics_cache:
                seen, usable = await asyncio.gather(self._truth.seen(), self._redis_usable())
                loop = asyncio.get_running_loop()
                page = await loop.run_in_executor(self._thread, exposition.page, *kind, Told(seen, usable))
                self._pages[kind] = time.monotonic(), page
        return page

    async def _redis_usable(self) -> bool:
        try:
            return await asyncio.wait_for(self._redis.fault(), TIMEOUT) is None
        except TimeoutError:
            return False

    async def process_shutdown(self, _scope: object, _event: object) -> None:
        """Shut down the threads without waiting for their work."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._truth.close()


class Seen(NamedTuple):
    """Numbers from PostgreSQL. `pending`: the number of pending notifications."""

    stats: live_stats.LiveStats
    pending: int
    lately: Lately


class Truth:
    """Reads metrics from PostgreSQL on a thread of its own, one query at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="live-stats")
        self._reports = report_metrics.ReportMetrics()
        self._asking: asyncio.Future[Seen] | None = None

    async def seen(self) -> Seen | None:
        """Return the current state; None if TIMEOUT seconds pass."""
        if self._asking is None or self._asking.done():
            loop = asyncio.get_running_loop()
            self._asking = loop.run_in_executor(self._thread, _ask, self._settings, self._reports)
            self._asking.add_done_callback(_retrieve)
        try:
            return await asyncio.wait_for(asyncio.shield(self._asking), TIMEOUT)
        except (Unavailable, TimeoutError) as error:
            log.warning("metrics.without_database", error=str(error))
        except Exception:
            # Whatever the error, the metrics of the processes are needed even more then.
            log.exception("metrics.without_database")
        return None

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


class Told(Collector):
    """State of the database and of Redis as Prometheus metrics."""

    def __init__(self, seen: Seen | None, redis_usable: bool | None = None) -> None:
        self._seen, self._redis_usable = seen, redis_usable

    def collect(self) -> Iterator[Metric]:
        yield _gauge("build_info", "Running version; always 1.", {(_version(), platform.python_version()): 1}, *BUILD)
        yield _gauge("database_up", "Whether PostgreSQL answered this scrape in time.", {(): self._seen is not None})
        if self._redis_usable is not None:
            yield _gauge("redis_usable", "Whether Redis let this process enqueue and fetch.", {(): self._redis_usable})
        if self._seen:
            yield from _told(self._seen.stats, self._seen.pending)
            yield from report_metrics.told(self._seen.lately)
            yield from report_metrics.told_silence(self._seen.stats.providers[:PROVIDERS])


BUILD = ("version", "python")


def _told(seen: live_stats.LiveStats, pending: int) -> Iterator[Metric]:
    yield from _told_queues(seen)
    yield _gauge(
        "pending_estimate",
        "Pending notifications of all clients as last counted (BACKLOG_INTERVAL), of each client at most one above "
        "its limit.",
        {(): pending},
    )
    yield from _told_sending(seen)
    drawn = CounterMetricFamily(
        "notify_ids_drawn", "Notification ids drawn since the database was created, including callbacks and gaps."
    )
    drawn.add_metric([], seen.accepted)
    yield drawn


def _told_queues(seen: live_stats.LiveStats) -> Iterator[Metric]:
    nothing = live_stats.PriorityStats(0, 0.0)
    always = dict.fromkeys((*PRIORITIES, CALLBACK), nothing)
    priorities = {(name, _channel(name)): stats for name, stats in (always | dict(seen.priorities)).items()}
    yield _gauge(
        "oldest_due_seconds",
        "Seconds that the oldest notification has waited among those that may be sent now; 0 if there are none.",
        {priority: state.oldest_due for priority, state in priorities.items()},
        *("priority", "channel"),
    )
    yield _gauge(
        "pending_notifications",
        f"Pending notifications, including scheduled ones, counted up to {live_stats.COUNTED}.",
        {priority: state.waiting for priority, state in priorities.items()},
        *("priority", "channel"),
    )


def _channel(queue: str) -> str:
    """Return the channel of a queue, which is a priority for email, or such as `sms.high`."""
    return queue if queue == CALLBACK else queue.rpartition(".")[0] or "email"


def _told_providers(providers: Sequence[live_stats.Provider]) -> Iterator[Metric]:
    for name, about, values in (
        (
            "provider_enabled",
            "1 while operators have not switched this provider off.",
            [one.enabled for one in providers],
        ),
        (
            "provider_connections_limit",
            "Connections (for push messages: requests at a time) that all workers together may use for a provider.",
            [one.connections or 0 for one in providers],
        ),
        (
            "provider_rate_limit",
            "Notifications per second that all workers together may send through a provider; 0 if unlimited.",
            [one.rate or 0.0 for one in providers],
        ),
    ):
        labelled = {(one.name, one.channel): value for one, value in zip(providers, values, strict=True)}
        yield _gauge(name, about, labelled, *("provider", "channel"))


def _told_sending(seen: live_stats.LiveStats) -> Iterator[Metric]:
    yield _gauge(
        "breaker_open",
        "1 while the breaker of this provider is open, so that only probes are sent to it.",
        {(provider.name,): provider.opened_at is not None for provider in seen.providers[:PROVIDERS]},
        "provider",
    )
    yield from _told_providers([one for one in seen.providers if one.connections is not None][:PROVIDERS])
    alive = [worker for worker in seen.workers if worker.alive]
    yield _gauge(
        "workers",
        "Worker processes with a heartbeat within WORKER_TIMEOUT (alive) or without one (silent).",
        {("alive",): len(alive), ("silent",): len(seen.workers) - len(alive)},
        "state",
    )
    yield _gauge(
        "worker_threads", "Threads of the worker processes that are alive.", {(): sum(w.threads for w in alive)}
    )
    yield _gauge(
        "outcomes_unrecorded",
        "Outcomes that live workers know and could not record yet; until then they send nothing new.",
        {(): sum(w.unrecorded for w in alive)},
    )


def _gauge(name: str, documentation: str, values: Mapping[Any, float], *labels: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"notify_{name}", documentation, labels=labels)
    for labelled, value in values.items():
        family.add_metric(labelled, value)
    return family


def _retrieve(asking: asyncio.Future[Seen]) -> None:
    """Retrieve the exception of a query that failed after TIMEOUT, or asyncio logs it as an error."""
    if not asking.cancelled():
        asking.exception()


def _ask(settings: Settings, reports: report_metrics.ReportMetrics) -> Seen:
    try:
        with connection():
            stats = live_stats.live_stats(settings.delivery.worker_timeout, settings.provider_names)
            return Seen(stats, sum(backlogs.read().pending.values()), reports.read())
    except Unavailable:
        database.close()
        raise


def _version() -> str:
    try:
        return version("notification-system")
    except PackageNotFoundError:
        return "unknown"
