"""Failover: hand a notification to another provider, if its own has certainly not taken it.

A notification that its provider may have taken is bound to it. No other one would know the first copy, so it waits.
"""

from __future__ import annotations

from collections.abc import Mapping

from actors.batches import Job
from actors.claim_store import ClaimStore
from actors.claiming import waiting_for
from actors.provider_queue import ProviderQueue
from actors.routing import Router
from runtime import logs, metrics
from settings.smtp import SmtpSettings

log = logs.get("delivery")


class Failover:
    """Failover between the providers of one worker process."""

    def __init__(self, settings: SmtpSettings, claim_store: ClaimStore, routers: Mapping[str, Router]) -> None:
        self._longest, self._claim_store, self._routers = settings.throttled_max, claim_store, routers

    def is_possible(self, job: Job) -> bool:
        """Return whether a job that its provider has certainly not taken may go on without a spent attempt."""
        return self._may_wait(job) or self._elsewhere(job) is not None

    async def move(self, job: Job) -> None:
        """Hand a job to another provider, because its own has certainly not taken it."""
        job.declined += (job.queue,)
        job.probe = False
        if self._may_wait(job):
            job.throttled = waiting_for(job.queue)
            await job.queue.hand_back([job])
            return
        other = self._routers[job.notification.type].choose(without=job.declined, notification=job.notification)
        if other is None:
            job.queue.put_back([job])
        elif await self._claim_store.reroute([job.notification], other.name):
            metrics.failovers[job.queue.name].inc()
            log.info("notification.failed_over", id=job.notification.id, provider=job.queue.name, to=other.name)
            other.receive(job)
        else:  # Another worker has taken it over.
            job.batch.withdrawn = True
            job.queue.end([job])

    def _may_wait(self, job: Job) -> bool:
        """Return whether a job waits for its provider at no cost, because no other one may send it."""
        one = job.notification
        several = len(self._routers[one.type].queues) > 1
        return several and bool(one.bound_provider) and one.throttled_for < self._longest

    def _elsewhere(self, job: Job) -> ProviderQueue | None:
        """Return another provider that works and has not declined the notification yet, or None."""
        if job.notification.bound_provider or job.notification.sandbox:
            return None
        one = job.notification
        return self._routers[one.type].choose(without=(*job.declined, job.queue), notification=one)


def belongs_elsewhere(job: Job) -> bool:
    """Return whether another provider may have taken the notification, which must not be sent a second time."""
    bound = job.notification.bound_provider
    return bound is not None and bound != job.queue.name and job.notification.on_uncertain == "hold"
