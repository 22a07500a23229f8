"""Hold mails back from a provider that refuses their From domain, as other providers and other domains go on.

A refusal with 5.7.x about our domain, its SPF, DKIM or DMARC, says nothing about the recipient. After BREAKER_THRESHOLD
of them without a mail that was taken in between, mails from this domain wait or go through another provider, and cost
no attempt. One mail at a time tests whether the provider takes them again; then they return by degrees.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol
from uuid import UUID

from actors import shared_state
from actors.batches import Job
from actors.breaker import PROBE_LEASE, RETURN
from actors.provider_queue import ProviderQueue
from actors.routing import Router
from db import refused_domains
from db.records import Attempt, Claimed
from db.refused_domains import Pair, Refusal, Waits
from runtime import logs
from settings import Settings

log = logs.get("breaker")

SHORTEST = 10.0  # seconds after which a mail that is held back is looked at again, or twice as many at random
LEAST = 0.05  # the part of the mails that are sent right after a provider takes a domain again


class FromDomains(Protocol):
    """The From domains of one provider: see `channels.email.mail_senders`. Others refuse no domain."""

    def domain(self, notification: Claimed) -> str:
        """Return the domain that a notification comes from."""

    def refused(self, attempt: Attempt) -> bool:
        """Return whether an attempt was refused because of that domain."""


class RefusedDomains:
    """Breakers of pairs of provider and From domain, as a worker process knows them. `refresh` is for upkeep's thread.

    While nothing is refused anywhere, it costs a look at an empty dict for each mail.
    """

    def __init__(self, settings: Settings, worker: UUID) -> None:
        self._settings, self._worker = settings, worker
        self._pairs: dict[tuple[str, str], Pair] = {}
        self._read_at = time.monotonic()

    @property
    def known(self) -> bool:
        """True if a provider has refused a domain lately."""
        return bool(self._pairs)

    def refresh(self) -> None:
        """Read the pairs from the database. Call within `connection()`."""
        found = refused_domains.pairs()
        if found:  # Most systems have none, and this is called each second.
            refused_domains.forget()
        self._pairs = {(one.provider, one.domain): one for one in found if _matters(one)}
        self._read_at = time.monotonic()

    async def route(self, job: Job, queue: ProviderQueue, router: Router) -> ProviderQueue:
        """Return the provider for a job that was to go through `queue`: another one if that refuses its domain."""
        pair = self._pair(job, queue) if self._pairs and not job.probe else None
        if pair is None or pair.opened_at is None or await self._tests(job, pair):
            return queue
        if job.notification.bound_provider:
            return queue  # `holds` hands it back.
        closed = [one for one in router.queues if self._is_open(job, one)]
        return router.choose(without=closed, notification=job.notification) or queue

    def holds(self, job: Job) -> bool:
        """Return whether a job must not be begun now, because its provider refuses its domain."""
        if not self._pairs or job.domain_admitted:
            return False
        pair = self._pair(job, job.queue)
        if pair is None or self._admits(pair):
            job.domain_admitted = pair is not None and pair.opened_at is None
            return False
        wait = max(SHORTEST, self._probe_in(pair))
        job.retry_after = wait * random.uniform(1, 2)  # noqa: S311 - no secret
        job.throttled = refused_domains.held_back(pair.provider, pair.domain, pair.reason or "")
        return True

    def keeps(self, job: Job, attempt: Attempt) -> bool:
        """Return whether a refused attempt costs nothing, because mails from its domain are held back."""
        from_domains = job.queue.from_domains
        return (
            bool(self._pairs)
            and self._is_open(job, job.queue)
            and from_domains is not None
            and from_domains.refused(attempt)
        )

    async def heard(self, job: Job, attempt: Attempt) -> bool:
        """Record what an attempt says about its domain. Return whether it was refused because of that."""
        from_domains = job.queue.from_domains
        if from_domains is None or job.notification.sandbox or (attempt.outcome == "sent" and not self._pairs):
            return False
        if from_domains.refused(attempt):
            refusal = Refusal(job.queue.name, from_domains.domain(job.notification), attempt.text or "")
            await self._refused(job, refusal)
            return True
        if (pair := self._pair(job, job.queue)) is not None:
            await self._heard_other(job, attempt, pair)
        return False

    async def unused(self, jobs: Iterable[Job]) -> None:
        """Give the tests of these jobs back that were not made."""
        for job in jobs if self._pairs else ():
            if job.tests_domain and (pair := self._pair(job, job.queue)) is not None:
                job.tests_domain = False
                await self._ask(partial(refused_domains.return_probe, pair.provider, pair.domain))

    async def _refused(self, job: Job, refusal: Refusal) -> None:
        s, job.domain_admitted = self._settings.breaker, False
        if job.tests_domain:
            job.tests_domain = False
            await self._ask(lambda: refused_domains.probe_failed(refusal, s.probe_wait_max))
        elif await self._ask(lambda: refused_domains.refused(refusal, waits(self._settings))):
            _log_opened(refusal)

    async def _heard_other(self, job: Job, attempt: Attempt, pair: Pair) -> None:
        place = (pair.provider, pair.domain)
        if job.tests_domain:
            job.tests_domain = False
            if attempt.outcome != "sent":
                await self._ask(lambda: refused_domains.return_probe(*place))
            elif await self._ask(lambda: refused_domains.close(*place)):
                log.warning("domain.taken_again", provider=pair.provider, domain=pair.domain)
        elif attempt.outcome == "sent" and pair.opened_at is None and pair.suspected:
            await self._ask(lambda: refused_domains.taken(*place))

    async def _tests(self, job: Job, pair: Pair) -> bool:
        """Let a job test whether the provider takes mails from its domain, if a test is due."""
        if self._probe_in(pair) > 0:
            return False
        timeout = self._settings.delivery.worker_timeout
        taken = (pair.provider, pair.domain, self._worker, PROBE_LEASE, timeout)
        job.tests_domain = job.domain_admitted = await self._ask(lambda: refused_domains.take_probe(*taken))
        return job.tests_domain

    def _is_open(self, job: Job, queue: ProviderQueue) -> bool:
        pair = self._pair(job, queue)
        return pair is not None and pair.opened_at is not None

    def _pair(self, job: Job, queue: ProviderQueue) -> Pair | None:
        from_domains = queue.from_domains
        return (
            self._pairs.get((queue.name, from_domains.domain(job.notification))) if from_domains is not None else None
        )

    def _admits(self, pair: Pair) -> bool:
        if pair.opened_at is not None:
            return False
        if pair.well_for is None:
            return True
        well_for = pair.well_for + time.monotonic() - self._read_at
        return random.random() < max(LEAST, well_for / RETURN)  # noqa: S311 - no secret

    def _probe_in(self, pair: Pair) -> float:
        return pair.probe_in - (time.monotonic() - self._read_at)

    async def _ask(self, question: Callable[[], bool | None]) -> bool:
        return await shared_state.change(question, self.refresh, failed="domain.failed")


def _matters(pair: Pair) -> bool:
    returning = pair.well_for is not None and pair.well_for < RETURN
    return pair.suspected or pair.opened_at is not None or returning


def waits(settings: Settings) -> Waits:
    """Return the limits of the breakers of domains, which are those of the other breakers."""
    s = settings.breaker
    return Waits(s.threshold, s.probe_wait, s.probe_wait_max)


def _log_opened(refusal: Refusal) -> None:
    log.error("domain.refused", provider=refusal.provider, domain=refusal.domain, reason=refusal.text)
