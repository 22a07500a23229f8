"""What this process has claimed, and how it records what became of it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Sequence, Set
from contextlib import closing
from functools import partial
from itertools import chain
from operator import attrgetter, itemgetter
from typing import TypeVar
from uuid import UUID

import logs
import metrics
from actors import spans
from actors.unrecorded import Unrecorded
from db import attachments, lifecycle, relay, workers
from db.coalesce import Coalescer, Waiter, answer
from db.database import Unavailable, connection, database
from db.records import Claimed, Sending, Settlement
from settings import Settings

T = TypeVar("T")
Item = TypeVar("Item")
# Ids to claim; ids to claim if they are for the sandbox; how many of the first may be begun as soon as claimed.
Wanted = tuple[Sequence[int], Sequence[int], int]
log = logs.get("ledger")

UNBOUNDED = 1 << 60  # No outcome is turned away: there are at most AHEAD of a sender.


class Ledger:
    """Claims and settles for all senders of this process, one statement for all that want it at a time.

    Called on the event loop, whose senders await the answers.

    An outcome is never forgotten: whatever error its recording ends with, it is kept and tried again until
    it is recorded, or until `stop` was called and SHUTDOWN_GRACE is over. Its sender waits for it and sends
    nothing new; `unrecorded` tells upkeep, so that no other worker rescues it meanwhile.
    """

    def __init__(self, settings: Settings, worker: UUID) -> None:
        self._settings, self._worker = settings, worker
        self._held: set[tuple[int, int]] = set()
        self._holding = threading.Lock()
        self._at_once: set[int] = set()  # what may be begun since it was claimed
        self._begun: set[int] = set()  # what may be begun besides, or will as soon as that is recorded
        self._recorded: Set[int] = frozenset()  # of which this was recorded last
        self._recording = threading.Lock()  # or an older state of `_begun` could be recorded after a newer one
        self._in_doubt = False
        self._stop_at: float | None = None
        waiting = settings.ring_waiting
        self._claims: Coalescer[Wanted, list[Claimed]] = Coalescer(
            "claim", self._claim, most=settings.claim_batch, waiting=waiting, rest=settings.coalesce_rest
        )
        self._unsettled: Unrecorded[Settlement, bool] = Unrecorded(
            "settle", self._settle, settings, attrgetter("id"), reductions
        )
        # None: only to record what may be begun.
        self._settlements: Coalescer[Settlement | None, bool] = Coalescer(
            "settle",
            self._settle,
            most=settings.settle_batch,
            waiting=UNBOUNDED,
            rest=settings.coalesce_rest,
            keep=self._keep,
        )
        self._undoubted: Unrecorded[tuple[int, int], bool] = Unrecorded("doubt", self._doubt, settings, itemgetter(0))
        self._doubts: Coalescer[tuple[int, int], bool] = Coalescer(
            "doubt", self._doubt, most=settings.settle_batch, waiting=UNBOUNDED, keep=self._undoubted.keep
        )
        # One at a time: they are large. By a thread of its own, or they would hold up those that are small.
        self._contents: Coalescer[tuple[int, int], list[bytes] | None] = Coalescer(
            "contents", self._read, most=1, waiting=waiting
        )

    async def claim(self, ids: Sequence[int], if_sandbox: Sequence[int] = (), at_once: int = 0) -> list[Claimed]:
        """Return those of `ids`, and of `if_sandbox` those for the sandbox, that are ours to send now, by id.

        The first `at_once` of `ids` may be begun at once, and count as begun from now on: see `may_begin`.

        Raises:
            Unavailable: they may have been claimed or not.
        """
        return await self._claims.ask((ids, if_sandbox, at_once))

    def candidate(self, provider: str) -> list[int]:
        """Return the id to send as a probe of a provider, in a list; an empty list where none is due. Blocks."""
        with closing(database), connection():
            return relay.next_probe(self._settings.probe_among, provider)

    def still_due(self, ids: Sequence[int]) -> list[int]:
        """Return those of `ids` that are pending and due. Blocks."""
        with closing(database), connection():
            return relay.still_due(ids)

    def settle(self, settlement: Settlement, next: Sequence[Claimed] = ()) -> asyncio.Future[bool]:
        """Record an outcome; the answer is False where another worker has taken the row over meanwhile.

        With the answer, `next` may be begun.
        """
        if next:
            with self._holding:
                self._begun.update(claimed.id for claimed in next)
        return self._settlements.ask(settlement)

    async def begin(self, claimed: Sequence[Claimed]) -> None:
        """Record that these may be begun."""
        with self._holding:
            self._begun.update(one.id for one in claimed)
        await self._settlements.ask(None)

    def may_begin(self, claimed: Claimed) -> bool:
        """Return whether it counts as begun already."""
        return claimed.id in self._at_once or claimed.id in self._begun

    def unrecorded(self) -> workers.Unrecorded:
        """Return the outcomes that the database has not taken yet, for the heartbeat."""
        ids = tuple(settlement.id for settlement in self._unsettled.items())
        return workers.Unrecorded(ids, self._unsettled.trouble if ids else "")

    async def doubt(self, claimed: Claimed) -> bool:
        """Record that from now on nobody can know whether it was sent; False where it is no longer ours."""
        return await self._doubts.ask((claimed.id, claimed.claim))

    async def contents(self, claimed: Claimed) -> list[bytes] | None:
        """Return those of its attachments; None where it is no longer ours."""
        return await self._contents.ask((claimed.id, claimed.claim))

    async def release(self, claimed: Sequence[Claimed]) -> None:
        """Hand back what was not begun; it costs no attempt."""
        claims = [(c.id, c.claim) for c in claimed]
        await asyncio.to_thread(self._hand_back, claims, partial(lifecycle.release, claims))

    async def postpone(self, claimed: Claimed, delay: float, text: str) -> None:
        """Hand back what the provider refused because of our rate, for `delay` seconds; it costs no attempt."""
        claims = [(claimed.id, claimed.claim)]
        await asyncio.to_thread(self._hand_back, claims, partial(lifecycle.postpone, claims, delay, text))

    def _hand_back(self, claims: Sequence[tuple[int, int]], move: Callable[[], Sequence[int]]) -> None:
        try:
            released = self._insist(move)
            metrics.upkeep["released"].inc(len(released))
            log.info("notifications.released", count=len(released))
        finally:
            database.close()
            self._drop(claims)

    def stop(self) -> None:
        """From now on, give up after SHUTDOWN_GRACE what cannot be recorded."""
        self._stop_at = time.monotonic() + self._settings.shutdown_grace
        self._undoubted.stop()
        self._unsettled.stop()

    def close(self) -> None:
        grace = self._settings.shutdown_grace
        for coalescer in (self._claims, self._contents, self._doubts, self._settlements):
            coalescer.close(grace)
        for kept in (self._undoubted, self._unsettled):
            kept.close(grace)

    def _claim(self, lists: Sequence[Wanted]) -> list[list[Claimed]]:
        wanted = list(dict.fromkeys(id for ids, if_sandbox, _ in lists for id in chain(ids, if_sandbox)))
        if_sandbox = {id for _, ids, _ in lists for id in ids} - {id for ids, _, _ in lists for id in ids}
        at_once = {id for ids, _, most in lists for id in ids[:most]}
        began = time.time_ns()
        try:
            with connection():
                if self._in_doubt:
                    self._release_unheld()
                claimed = {c.id: c for c in lifecycle.claim(wanted, self._worker, at_once, if_sandbox)}
                # What a breaker holds up is looked at when it is asked for again.
                if refused := set(wanted) - claimed.keys() - if_sandbox:
                    self._suppress(refused)
        except Exception:
            # The claim may have been made and its answer lost, or what came after it failed.
            self._in_doubt = True
            raise
        with self._holding:
            self._held.update((c.id, c.claim) for c in claimed.values())
            self._at_once.update(at_once & claimed.keys())
        found = [sorted(claimed.pop(id) for id in chain(ids, more) if id in claimed) for ids, more, _ in lists]
        return spans.claimed(found, began)

    def _suppress(self, refused: Iterable[int]) -> None:
        """Others have them, or they are not due; or their recipients were suppressed, and nobody else fails those."""
        if suppressed := lifecycle.suppress(refused):
            metrics.upkeep["suppressed"].inc(len(suppressed))
            log.info("notifications.suppressed", ids=suppressed)

    def _release_unheld(self) -> None:
        with self._holding:
            held = [id for id, _ in self._held]
        lifecycle.release_unheld(self._worker, held)
        self._in_doubt = False

    def _settle(self, asked: Sequence[Settlement | None]) -> list[bool]:
        settlements = [settlement for settlement in asked if settlement is not None]
        with self._recording:
            sending = self._sending()
            with spans.recording(settlements), connection():
                if settlements:
                    owned = lifecycle.settle(settlements, self._settings.relay_grace, time.monotonic(), sending)
                elif sending:
                    lifecycle.begin(sending)
            self._recorded = set(sending.ids) if sending else self._recorded
        self._drop([(s.id, s.claim) for s in settlements])
        return [s is None or (s.id, s.claim) in owned for s in asked]

    def _keep(self, settlement: Settlement | None, recorded: Waiter[bool], error: Exception) -> None:
        """Keep what could not be recorded; who only asked to begin something gets the error."""
        if settlement is None:
            answer([(recorded, error)])
        else:
            self._unsettled.keep(settlement, recorded, error)

    def _sending(self) -> Sending | None:
        """Return what has to be recorded as begun; None where it is. What was recorded and has ended does no harm."""
        with self._holding:
            return None if self._begun <= self._recorded else Sending(self._worker, list(self._begun))

    def _doubt(self, claims: Sequence[tuple[int, int]]) -> list[bool]:
        with connection():
            owned = lifecycle.doubt(claims)
        return [claim in owned for claim in claims]

    def _read(self, claims: Sequence[tuple[int, int]]) -> list[list[bytes] | None]:
        return [self._insist(partial(attachments.contents, *claim)) for claim in claims]

    def _drop(self, claims: Sequence[tuple[int, int]]) -> None:
        with self._holding:
            self._held.difference_update(claims)
            ids = [id for id, _ in claims]
            self._at_once.difference_update(ids)
            self._begun.difference_update(ids)

    def _insist(self, record: Callable[[], T]) -> T:
        pause = self._settings.record_retry_min
        while True:
            try:
                with connection():
                    return record()
            except Exception as error:
                if self._stop_at is not None and time.monotonic() >= self._stop_at:
                    raise
                told = str(error) if isinstance(error, Unavailable) else type(error).__name__
                log.warning("database.unavailable", error=told, retry_in=pause)
            time.sleep(pause)
            pause = min(self._settings.record_retry_max, 2 * pause)


def reductions(settlement: Settlement) -> tuple[Settlement, ...]:
    """Less and less of a settlement whose values the database refuses; id, claim and status stay."""
    attempt = settlement.attempt
    plain = (attempt.text or "").encode("ascii", "replace").decode()
    bare = attempt._replace(phase=None, reply_code=None, enhanced_code=None, text="what was said could not be stored")
    return (
        settlement._replace(attempt=attempt._replace(text="".join(c if c.isprintable() else "?" for c in plain))),
        settlement._replace(attempt=bare, suppress=False),
    )
