"""Quota of bytes that a client may send per day, counted in Redis for all API processes, a mebibyte at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable

from api.access.counters import Answer, Ask, Whose
from api.access.exceeded import Exceeded, unchecked
from api.access.windows import BYTES
from settings import Settings

STEP = 2**20  # bytes of a client that a process admits before it asks Redis


class DailyBytes:
    """Admits or refuses the bodies of requests. Use it on the event loop only.

    Most bodies are small: each process adds them up, and asks Redis once for every STEP bytes. A client can therefore
    send up to STEP more than DAILY_BYTES through each process.
    """

    def __init__(self, settings: Settings, ask: Callable[[Ask], Awaitable[Answer | None]]) -> None:
        self._settings, self._ask = settings, ask
        self._uncounted: Counter[str] = Counter()

    async def admit(self, owner: str, size: int) -> None:
        """Admit a body of `size` bytes of the client `owner`.

        Raises:
            Exceeded: the client has sent DAILY_BYTES today.
            Problem: LIMITS_FAIL=closed, and Redis does not answer.
        """
        most = self._settings.daily_bytes
        if not most:
            return
        self._uncounted[owner] += size
        if (asked := self._uncounted[owner]) < STEP:
            return
        self._uncounted[owner] = 0
        answer = await self._ask(Ask(Whose(f"bytes/{owner}", None, most), asked))
        if answer is not None and answer.refused is None:
            return
        self._uncounted[owner] += asked - size
        if answer is not None:
            [window] = answer.windows
            raise Exceeded(BYTES, size, most, window.until(size))
        if self._settings.limits_fail == "closed":
            raise unchecked(self._settings.limits_away)
