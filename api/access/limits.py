"""Limits of how many notifications a client may send: per minute, per day, and while how many are pending.

Notifications are counted, not requests: a batch of 50 counts as 50; rejected items do not count.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple, Self

import redis
from falcon.asgi import Request, Response

from api.access.auth import Caller
from api.access.backlogs import Backlogs
from api.access.counters import Answer, Ask, Counters, Whose
from api.access.daily_bytes import DailyBytes
from api.access.exceeded import Exceeded, headers, never, unchecked, use
from api.access.windows import DAILY, MANAGE, PENDING, RATE, Day, Policy, Window
from api.http import operations
from api.store import NotificationStore
from db.backlogs import backlog_of
from db.clients import Client
from db.coalesce import Closed, Coalescer, Full
from runtime import logs

log = logs.get("api")

RECORDED = frozenset({"/api/export"})  # GET counts too, because it writes to the audit log each time


class Bounds(NamedTuple):
    """Limits of a client: its own, or else those of the settings; None means unlimited."""

    backlog: int  # the client whose pending notifications count: see db/backlogs.py
    whose: Whose
    pending: int | None


class Limits:
    """Admits or refuses notifications. For a client without rate and quota it does not ask Redis."""

    def __init__(self, store: NotificationStore) -> None:
        self._settings = store.settings
        self._counters = Counters(store.settings)
        bounds = store.settings.store
        self._counting: Coalescer[Ask, Answer] = Coalescer(
            "limits", self._counters.run, most=bounds.accept_batch, waiting=bounds.accept_waiting
        )
        self._bytes = DailyBytes(store.settings, self._ask)
        self._backlogs = Backlogs(store)
        self._away_until: float | None = None

    def of(self, client: Caller | Client) -> Bounds:
        """Return the limits of a caller or client. A client's sandbox has counters of its own."""
        s, sandbox = self._settings, isinstance(client, Caller) and client.sandbox
        id = client.client_id if isinstance(client, Caller) else client.id
        rate, daily = client.rate_limit or s.limits.rate or None, client.daily_quota or s.limits.daily_quota or None
        whose = Whose(f"{id}/sandbox" if sandbox else str(id), rate, daily)
        return Bounds(backlog_of(id, sandbox=sandbox), whose, client.pending_limit or s.limits.pending or None)

    async def admit(self, caller: Caller, count: int, size: int) -> Admission:
        """Admit `count` notifications of `size` bytes together, for a `with` block that stores them.

        Raises:
            Exceeded: a limit is reached for now.
            Problem: a limit is below `count`; or LIMITS_FAIL=closed, and Redis does not answer.
        """
        bounds = self.of(caller)
        if count:
            await self._bytes.admit(bounds.whose.owner, size)
        if bounds.pending is not None:
            if count > bounds.pending:
                raise never(PENDING, count, bounds.pending)
            if not await self._backlogs.has_room(bounds.backlog, count, bounds.pending):
                raise Exceeded(PENDING, count, bounds.pending, 2 * self._settings.limits.backlog_interval)
            self._backlogs.reserve(bounds.backlog, count)
        if not (count and bounds.whose.limited):
            return Admission(self, bounds, count, ())
        try:
            return Admission(self, bounds, count, await self._counted(bounds.whose, count))
        except BaseException:
            self._commit(bounds, count, 0)
            raise

    async def use(self, bounds: Bounds) -> dict[str, Any]:
        """Return how much of each limit is used, as JSON; null where it is not known."""
        await self._backlogs.refresh()
        answer = await self._ask(Ask(bounds.whose, 0)) if bounds.whose.limited else None
        known = {window.policy: window.used for window in answer.windows} if answer else {}
        return {
            "rate": {**use(bounds.whose.rate, known.get(RATE)), "window": RATE.window},
            "daily": {**use(bounds.whose.daily, known.get(DAILY)), "window": DAILY.window},
            "pending": use(bounds.pending, self._backlogs.waiting(bounds.backlog)),
        }

    async def process_resource(self, req: Request, _resp: Response, resource: object, _params: Any) -> None:
        """Count a management request against MANAGE_RATE; raise as `admit` does."""
        reads = req.method in operations.READING and req.path not in RECORDED
        if resource is None or reads or req.path in operations.SENDING or self._settings.http.auth == "off":
            return
        caller: Caller | None = getattr(req.context, "caller", None)
        if caller is None:  # Log-ins have their own limit, and an unsubscribe link works for one address only.
            return
        await self._counted(Whose(f"manage/{caller.client_id}", self._settings.limits.manage_rate, None), 1, MANAGE)

    async def count_login(self, whom: str) -> None:
        """Count a login attempt against LOGIN_RATE; raise Exceeded, or Problem with LIMITS_FAIL=closed."""
        await self._counted(Whose(f"login/{whom}", self._settings.access.login_rate, None), 1)

    def settle(self, admission: Admission, stored: int) -> None:
        """Record how many admitted notifications were stored; give the rest back to the daily quota."""
        bounds, count, windows = admission.bounds, admission.count, admission.windows
        self._commit(bounds, count, stored)
        if stored < count and any(isinstance(window, Day) for window in windows):
            with suppress(Full, Closed):
                self._counting.submit(Ask(bounds.whose, stored - count))

    async def process_shutdown(self, _scope: Any, _event: Any) -> None:
        self._counting.close(self._settings.limits.timeout)
        self._counters.close()

    def _commit(self, bounds: Bounds, count: int, stored: int) -> None:
        if bounds.pending is not None:
            self._backlogs.commit(bounds.backlog, count, stored)

    async def _counted(self, whose: Whose, count: int, rate: Policy = RATE) -> tuple[Window, ...]:
        for policy, limit in ((rate, whose.rate), (DAILY, whose.daily)):
            if limit is not None and count > limit:
                raise never(policy, count, limit)
        answer = await self._ask(Ask(whose, count))
        if answer is None:
            if self._settings.limits.fail == "closed":
                raise unchecked(self._settings.limits.away)
            return ()
        for window in answer.windows:
            if window.policy is answer.refused:
                policy = rate if window.policy is RATE else window.policy
                # RateLimit headers are about notifications only.
                told = answer.windows if rate is RATE else ()
                raise Exceeded(policy, count, window.limit, window.until(count), told)
        return answer.windows

    async def _ask(self, ask: Ask) -> Answer | None:
        """Return the answer, None while Redis is unavailable. One request in LIMITS_AWAY seconds tries it again."""
        if self._away_until is not None:
            if time.monotonic() < self._away_until:
                return None
            self._away_until = time.monotonic() + self._settings.limits.away
        try:
            async with asyncio.timeout(self._settings.limits.timeout):
                answer = await self._counting.ask(ask)
        except (TimeoutError, redis.RedisError, Full) as error:
            if self._away_until is None:
                log.warning("limits.unavailable", error=type(error).__name__, fail=self._settings.limits.fail)
            self._away_until = time.monotonic() + self._settings.limits.away
            return None
        if self._away_until is not None:
            log.info("limits.available")
            self._away_until = None
        return answer


class Admission:
    """Room for `count` notifications. Those not reported as `stored` within the `with` block are given back."""

    def __init__(self, limits: Limits, bounds: Bounds, count: int, windows: tuple[Window, ...]) -> None:
        self.bounds, self.count, self.windows = bounds, count, windows
        self._limits, self._stored = limits, 0

    def stored(self, count: int, resp: Response) -> None:
        """Record how many are new (not replayed or refused), and set the RateLimit headers of the answer."""
        self._stored = count
        resp.set_headers(headers(self.windows))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, type: type[BaseException] | None, _exc: object, _trace: TracebackType | None) -> None:
        # After a disconnect the notifications may have been stored: count them.
        vanished = type is not None and issubclass(type, asyncio.CancelledError)
        self._limits.settle(self, self.count if vanished else self._stored)
