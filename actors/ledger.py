"""What this process has claimed, and how it records what became of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from itertools import chain
from typing import TypeVar
from uuid import UUID

import logs
from db import lifecycle
from db.coalesce import Coalescer
from db.database import Unavailable, connection, database
from db.records import Claimed, Settlement
from settings import Settings

T = TypeVar("T")
log = logs.get("ledger")

CLAIMS_AT_ONCE = 64  # lists of ids in one statement: as many as there may be threads
SETTLED_AT_ONCE = 500  # settlements in one statement
RETRY_FIRST, RETRY_LAST = 0.1, 2.0  # seconds between two tries to record


class Ledger:
    """Claims and settles for all threads of this process, one statement for all that want it at a time.

    An outcome is never forgotten: while the database is away it is tried again and again, until
    `stop` was called and SHUTDOWN_GRACE is over.
    """

    def __init__(self, settings: Settings, worker: UUID) -> None:
        self._settings, self._worker = settings, worker
        self._held: set[tuple[int, int]] = set()
        self._holding = threading.Lock()
        self._in_doubt = False
        self._stop_at: float | None = None
        waiting = settings.ring_waiting
        self._claims: Coalescer[Sequence[int], list[Claimed]] = Coalescer(
            "claim", self._claim, most=CLAIMS_AT_ONCE, waiting=waiting
        )
        self._settlements: Coalescer[Settlement, bool] = Coalescer(
            "settle", self._settle, most=SETTLED_AT_ONCE, waiting=waiting
        )
        self._doubts: Coalescer[tuple[int, int], bool] = Coalescer(
            "doubt", self._doubt, most=SETTLED_AT_ONCE, waiting=waiting
        )

    def claim(self, ids: Sequence[int]) -> list[Claimed]:
        """Those of `ids` that are ours to send now; raises Unavailable."""
        return self._claims.submit(ids).result()

    def settle(self, settlement: Settlement) -> Future[bool]:
        """Record an outcome; the answer is False where another worker has taken the row over meanwhile."""
        return self._settlements.submit(settlement)

    def doubt(self, claimed: Claimed) -> bool:
        """Record that from now on nobody can know whether it was sent; False where it is no longer ours."""
        return self._doubts.submit((claimed.id, claimed.claim)).result()

    def release(self, claimed: Sequence[Claimed]) -> None:
        """Hand back what was not begun; it costs no attempt."""
        claims = [(c.id, c.claim) for c in claimed]
        try:
            released = self._insist(lambda: lifecycle.release(claims))
            log.info("notifications.released", count=len(released))
        finally:
            database.close()
            self._drop(claims)

    def stop(self) -> None:
        """From now on, give up after SHUTDOWN_GRACE what cannot be recorded."""
        self._stop_at = time.monotonic() + self._settings.shutdown_grace

    def close(self) -> None:
        for coalescer in (self._claims, self._doubts, self._settlements):
            coalescer.close(self._settings.shutdown_grace)

    def _claim(self, lists: Sequence[Sequence[int]]) -> list[list[Claimed]]:
        wanted = set(chain.from_iterable(lists))
        try:
            with connection():
                if self._in_doubt:
                    self._release_unheld()
                claimed = {c.id: c for c in lifecycle.claim(wanted, self._worker)}
                if refused := wanted - claimed.keys():
                    self._suppress(refused)
        except Unavailable:
            # The claim may have been made and its answer lost.
            self._in_doubt = True
            raise
        with self._holding:
            self._held.update((c.id, c.claim) for c in claimed.values())
        return [[claimed.pop(id) for id in ids if id in claimed] for ids in lists]

    def _suppress(self, refused: Iterable[int]) -> None:
        """Others have them, or they are not due; or their recipients were suppressed, and nobody else fails those."""
        if suppressed := lifecycle.suppress(refused):
            log.info("notifications.suppressed", ids=suppressed)

    def _release_unheld(self) -> None:
        with self._holding:
            held = [id for id, _ in self._held]
        lifecycle.release_unheld(self._worker, held)
        self._in_doubt = False

    def _settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        owned = self._insist(lambda: self._record(settlements))
        self._drop([(s.id, s.claim) for s in settlements])
        return [(s.id, s.claim) in owned for s in settlements]

    def _doubt(self, claims: Sequence[tuple[int, int]]) -> list[bool]:
        owned = self._insist(lambda: lifecycle.doubt(claims))
        return [claim in owned for claim in claims]

    def _record(self, settlements: Sequence[Settlement]) -> set[tuple[int, int]]:
        return lifecycle.settle(settlements, self._settings.relay_grace, time.monotonic())

    def _drop(self, claims: Sequence[tuple[int, int]]) -> None:
        with self._holding:
            self._held.difference_update(claims)

    def _insist(self, record: Callable[[], T]) -> T:
        pause = RETRY_FIRST
        while True:
            try:
                with connection():
                    return record()
            except Unavailable as error:
                if self._stop_at is not None and time.monotonic() >= self._stop_at:
                    raise
                log.warning("database.unavailable", error=str(error), retry_in=pause)
            time.sleep(pause)
            pause = min(RETRY_LAST, 2 * pause)
