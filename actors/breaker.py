"""Local view of the breaker that all workers share for one provider.

While the breaker is open, nothing is sent, no attempt is counted, and wake-up messages are ignored: the rows stay
pending. One real mail at a time is sent as a probe. After the breaker has closed, the relay releases the backlog
gradually, so that the provider is not overloaded again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import UUID

from actors import shared_state
from actors.channels.daily import DailyLimit
from actors.evidence import About
from db import breaker
from runtime import logs, metrics
from settings import Settings

log = logs.get("breaker")

ALL, ONE, NONE = 1_000_000, 1, 0
PROBE_LEASE = 300  # seconds after which another worker may probe if a probe has not reported
RETURN = 30.0  # seconds after which a provider that has recovered gets its whole share again
RAMP_FIRST = 10  # notifications in the first second after the breaker closes; the number doubles each second
SEVERAL = 2  # clients or domains that must be affected: one client's failures to one domain never open the breaker


class Breaker:
    """Breaker of one provider, with the state that upkeep read in its last round.

    Call `refresh` and `share` from upkeep's thread, everything else on the event loop.
    """

    def __init__(self, settings: Settings, provider: str, worker: UUID, daily: DailyLimit | None = None) -> None:
        self._settings, self.provider, self._worker, self.daily = settings, provider, worker, daily
        self._state = breaker.State(open=False)
        self._asked_at = time.monotonic()
        self._failures = 0
        self._failing: set[About] = set()  # since the last success

    @property
    def open(self) -> bool:
        return self._state.open

    @property
    def troubled(self) -> bool:
        """True if an attempt has failed since the last success."""
        return bool(self._failures or self._failing)

    @property
    def usable(self) -> bool:
        """True if the provider works as far as known, has not used up its day, and is not switched off."""
        return self._state.enabled and not (self._state.open or self.exhausted)

    @property
    def exhausted(self) -> bool:
        """True if the daily limit of the provider is used up."""
        if self.daily is None:
            return self._state.exhausted
        return not self.daily.reserved and (self._state.exhausted or self.daily.exhausted_for > 0)

    @property
    def readiness(self) -> float:
        """The part of its share that the provider gets, above 0 to 1: it grows after the breaker has closed."""
        return min(1.0, max(self._state.well_for / RETURN, 0.01))

    @property
    def weight(self) -> int | None:
        """The weight that operators have set, or None."""
        return self._state.weight

    def refresh(self) -> None:
        """Read the shared state from the database. Call within `connection()`."""
        was_open = self.open
        self._state = breaker.state(self.provider, self._settings.delivery.worker_timeout)
        self._asked_at = time.monotonic()
        if was_open and not self.open:  # Failures from before the provider recovered do not count.
            self._failures = 0
            self._failing.clear()

    async def admits(self) -> int:
        """Return how many notifications may be sent now: ALL, ONE as a probe, or NONE."""
        if self.usable:
            return ALL
        if not self._probe_is_due():
            return NONE
        return ONE if await self._ask(self._take_probe) else NONE

    async def heard(self, *, down: bool, probe: bool, reason: str, about: About | None = None) -> None:
        """Record the result of an attempt.

        `down`: the attempt failed because of the provider. `about`: the client and domain to which the failure may be
        limited. The breaker opens after BREAKER_THRESHOLD failures in a row; failures with the same `about` count
        once.
        """
        if not down:
            self._failures = 0
            self._failing.clear()
            if probe:
                await self._close()
        elif about is None:
            self._failures += 1
            if probe:
                await self._ask(lambda: breaker.probe_failed(self.provider, self._settings.breaker.probe_wait_max))
            elif self._failures >= self._settings.breaker.threshold and not self.open:
                await self._trip(reason)
        else:
            await self._heard_of_mail(about, probe=probe, reason=reason)

    async def _heard_of_mail(self, about: About, *, probe: bool, reason: str) -> None:
        if probe and self._state.by_mails:  # Do not extend the wait: another client's mail may be accepted.
            await self._ask(lambda: breaker.probe_failed(self.provider, self._settings.breaker.probe_wait))
        elif probe:  # The provider can be reached again.
            await self._close()
        self._failing.add(about)
        if len(self._failing) >= max(SEVERAL, self._settings.breaker.threshold) and not self.open:
            await self._trip(reason, by_mails=True)

    async def _close(self) -> None:
        if await self._ask(lambda: breaker.close(self.provider)):
            metrics.breaker["closed"].inc()
            log.warning("breaker.closed", provider=self.provider)

    async def unused(self) -> None:
        """Return the probe that `admits` granted, because there was nothing to send."""
        await self._ask(lambda: breaker.return_probe(self.provider))

    def share(self, most: int, part: float) -> int:
        """Return how many notifications of the backlog upkeep may enqueue in this round, at most `most`.

        `part` is this process's share of all worker threads, from 0 to 1.
        """
        if not self.usable:
            return ONE if self._probe_is_due() else NONE
        rate = RAMP_FIRST * 2 ** min(self._state.well_for, 60.0)
        return min(most, max(ONE, int(rate * self._settings.delivery.upkeep_interval * part)))

    def _take_probe(self) -> bool:
        s = self._settings
        return breaker.take_probe(self.provider, self._worker, PROBE_LEASE, s.delivery.worker_timeout)

    def _probe_is_due(self) -> bool:
        due = self.open and time.monotonic() >= self._asked_at + self._state.probe_in
        return due and self._state.enabled and not self.exhausted

    async def _trip(self, reason: str, *, by_mails: bool = False) -> None:
        # Applies in this process at once, even if the database is not available.
        self._state = self._state._replace(
            open=True, probe_in=self._settings.breaker.probe_wait, well_for=0.0, by_mails=by_mails
        )
        self._asked_at = time.monotonic()
        wait = self._settings.breaker.probe_wait
        if await self._ask(lambda: breaker.trip(self.provider, reason, wait, by_mails=by_mails)):
            metrics.breaker["open"].inc()
            log.error("breaker.opened", provider=self.provider, reason=reason)

    async def _ask(self, question: Callable[[], bool | None]) -> bool:
        return await shared_state.change(question, self.refresh, failed="breaker.failed")
