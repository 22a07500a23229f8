"""Claim notifications for this worker process, and record the outcomes of their attempts."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from functools import partial
from itertools import chain
from operator import attrgetter, itemgetter
from typing import TypeVar
from uuid import UUID

from actors import spans, unrecorded
from actors.held_claims import HeldClaims
from actors.queue.priorities import PRIORITIES
from actors.queue.wake_up import WAITING
from actors.unrecorded import SETTLE_BATCH, Unrecorded, reductions
from actors.wanted import Wanted
from db import attachments, breaker, lifecycle, workers
from db.coalesce import REST, Coalescer, Waiter, answer
from db.database import Unavailable, connection, database
from db.records import Claimed, EvidenceWait, Sending, Settlement
from runtime import logs, metrics
from settings import Settings

T = TypeVar("T")
_Doubt = tuple[int, int, EvidenceWait | None]  # id, claim
log = logs.get("claims")

CLAIM_BATCH = 64  # messages per statement
PROBE_AMONG = 500  # due notifications of each priority from which a probe is chosen
UNBOUNDED = 1 << 60  # Outcomes are never turned away; each sender has at most AHEAD of them.


class ClaimStore:
    """Store through which all senders of this process claim and settle. One statement serves all concurrent calls.

    Call it on the event loop, except where a method says that it blocks.

    An outcome is never dropped. If recording it fails for any reason, it is kept and tried again until it is recorded,
    or until SHUTDOWN_GRACE after `stop`. Its sender waits and sends nothing new. `unrecorded` reports such outcomes to
    upkeep, so that no other worker rescues their notifications.
    """

    def __init__(self, settings: Settings, worker: UUID, types: Sequence[str]) -> None:
        """`types`: those of the notifications that this process can deliver."""
        self._settings, self._worker, self._types = settings, worker, types
        self._held = HeldClaims()
        self._recording = threading.Lock()  # keeps an older list of begun ids from overwriting a newer one
        self._in_doubt = False
        self._stop_at: float | None = None
        self._claims: Coalescer[Wanted, list[Claimed]] = Coalescer(
            "claim", self._claim, most=CLAIM_BATCH, waiting=WAITING, rest=REST
        )
        self._unsettled: Unrecorded[Settlement, bool] = Unrecorded(
            "settle", self._settle, settings, attrgetter("id"), reductions
        )
        # None: no settlement, only record which notifications may be begun.
        self._settlements: Coalescer[Settlement | None, bool] = Coalescer(
            "settle", self._settle, most=SETTLE_BATCH, waiting=UNBOUNDED, rest=REST, keep=self._keep
        )
        self._undoubted: Unrecorded[_Doubt, bool] = Unrecorded("doubt", self._doubt, settings, itemgetter(0))
        self._doubts: Coalescer[_Doubt, bool] = Coalescer(
            "doubt", self._doubt, most=SETTLE_BATCH, waiting=UNBOUNDED, keep=self._undoubted.keep
        )
        # Attachments are large: read one notification's at a time, in a thread that delays no other statement.
        self._contents: Coalescer[tuple[int, int], list[bytes] | None] = Coalescer(
            "contents", self._read, most=1, waiting=WAITING
        )

    async def claim(self, wanted: Wanted) -> list[Claimed]:
        """Claim what is wanted; return the claimed rows in id order.

        The first `at_once` of the ids are recorded as begun with the claim: see `may_begin`.

        Raises:
            Unavailable: Whether they were claimed is unknown.
        """
        return await self._claims.ask(wanted)

    def candidate(self, provider: str, channel: str, beginning: str = "") -> list[int]:
        """Return the id to send as a probe of a provider, to a recipient with this beginning, or []. Blocks."""
        queues = [one.name for one in PRIORITIES.values() if one.channel == channel]
        with closing(database), connection():
            return breaker.next_probe(PROBE_AMONG, provider, channel, queues, beginning)

    def still_due(self, ids: Sequence[int]) -> list[int]:
        """Return those of `ids` that are pending and due. Blocks."""
        with closing(database), connection():
            return lifecycle.still_due(ids)

    def settle(self, settlement: Settlement, next: Sequence[Claimed] = ()) -> asyncio.Future[bool]:
        """Record an outcome. The result is False if another worker has claimed the row since.

        The same statement records `next` as begun.
        """
        self._held.begin(claimed.id for claimed in next)
        return self._settlements.ask(settlement)

    async def begin(self, claimed: Sequence[Claimed]) -> None:
        """Record the claimed notifications as begun."""
        self._held.begin(one.id for one in claimed)
        await self._settlements.ask(None)

    def may_begin(self, claimed: Claimed) -> bool:
        """Return whether the notification is recorded as begun."""
        return self._held.may_begin(claimed.id)

    def unrecorded(self) -> workers.Unrecorded:
        """Return the outcomes that are not recorded yet, for the heartbeat."""
        ids = tuple(settlement.id for settlement in self._unsettled.items())
        return workers.Unrecorded(ids, self._unsettled.trouble if ids else "")

    async def doubt(self, claimed: Claimed, wait: EvidenceWait | None) -> bool:
        """Record that the outcome is unknown from now on. Return False if it must not be sent: see lifecycle.doubt."""
        return await self._doubts.ask((claimed.id, claimed.claim, wait))

    async def reroute(self, claimed: Sequence[Claimed], provider: str) -> Sequence[int]:
        """Record that another provider sends them from now on. Return the ids of those that are still claimed."""
        claims = [(one.id, one.claim) for one in claimed]
        return await asyncio.to_thread(self._in_thread, partial(lifecycle.reroute, claims, provider))

    async def contents(self, claimed: Claimed) -> list[bytes] | None:
        """Return the contents of the attachments; None if another worker has claimed the row."""
        return await self._contents.ask((claimed.id, claimed.claim))

    async def release(self, claimed: Sequence[Claimed]) -> None:
        """Hand back notifications that were not begun. It costs no attempt."""
        claims = [(c.id, c.claim) for c in claimed]
        await asyncio.to_thread(self._hand_back, claims, partial(lifecycle.release, claims))

    async def postpone(self, claimed: Sequence[Claimed], delay: float, text: str, spread: float = 0.0) -> None:
        """Hand back for `delay` seconds what the provider does not take because of our rate. It costs no attempt.

        Each is due `spread` seconds after the one before.
        """
        claims = [(c.id, c.claim) for c in claimed]
        await asyncio.to_thread(self._hand_back, claims, partial(lifecycle.postpone, claims, delay, text, spread))

    def _hand_back(self, claims: Sequence[tuple[int, int]], move: Callable[[], Sequence[int]]) -> None:
        try:
            released = self._in_thread(move)
            metrics.upkeep["released"].inc(len(released))
            log.info("notifications.released", count=len(released))
        finally:
            self._held.drop(claims)

    def stop(self) -> None:
        """Give up outcomes that cannot be recorded, SHUTDOWN_GRACE seconds from now."""
        self._stop_at = time.monotonic() + self._settings.process.shutdown_grace
        self._undoubted.stop()
        self._unsettled.stop()

    def close(self) -> None:
        grace = self._settings.process.shutdown_grace
        for coalescer in (self._claims, self._contents, self._doubts, self._settlements):
            coalescer.close(grace)
        for kept in (self._undoubted, self._unsettled):
            kept.close(grace)

    def _claim(self, lists: Sequence[Wanted]) -> list[list[Claimed]]:
        wanted = list(dict.fromkeys(id for one in lists for id in chain(one.ids, one.if_sandbox)))
        if_sandbox = {id for one in lists for id in one.if_sandbox} - {id for one in lists for id in one.ids}
        at_once = {id for one in lists for id in one.ids[: one.at_once]}
        providers = dict(chain.from_iterable(one.providers.items() for one in lists))
        began = time.time_ns()
        try:
            with connection():
                if self._in_doubt:
                    lifecycle.release_unheld(self._worker, self._held.ids())
                    self._in_doubt = False
                found = lifecycle.claim(wanted, self._worker, at_once, if_sandbox, providers, self._types)
                claimed = {c.id: c for c in found}
                # Ids held up by a breaker (`if_sandbox`) are checked when they are wanted again.
                if refused := set(wanted) - claimed.keys() - if_sandbox:
                    self._suppress(refused)
                    lifecycle.put_off(refused)
        except Exception:
            # The claim may have been committed and only its answer lost, or a later statement failed.
            self._in_doubt = True
            raise
        self._held.add([(c.id, c.claim) for c in claimed.values()], at_once & claimed.keys())
        each = [sorted(claimed.pop(id) for id in chain(w.ids, w.if_sandbox) if id in claimed) for w in lists]
        return spans.claimed(each, began)

    def _suppress(self, refused: Iterable[int]) -> None:
        """Fail the unclaimed ids whose recipient is suppressed; skip the rest, which are taken or not due."""
        if suppressed := lifecycle.suppress(refused):
            metrics.upkeep["suppressed"].inc(len(suppressed))
            log.info("notifications.suppressed", ids=suppressed)

    def _settle(self, asked: Sequence[Settlement | None]) -> list[bool]:
        settlements = [settlement for settlement in asked if settlement is not None]
        with self._recording:
            sending = self._sending()
            with spans.recording(settlements), connection():
                if settlements:
                    owned = lifecycle.settle(settlements, self._settings.queue.relay_grace, time.monotonic(), sending)
                elif sending:
                    lifecycle.begin(sending)
            if sending:
                self._held.recorded(sending.ids)
        self._held.drop([(s.id, s.claim) for s in settlements])
        return [s is None or (s.id, s.claim) in owned for s in asked]

    def _keep(self, settlement: Settlement | None, recorded: Waiter[bool], error: Exception) -> None:
        """Keep a settlement that could not be recorded. A call that only begins something gets the error."""
        if settlement is None:
            answer([(recorded, error)])
        else:
            self._unsettled.keep(settlement, recorded, error)

    def _sending(self) -> Sending | None:
        begun = self._held.to_record()
        return None if begun is None else Sending(self._worker, begun)

    def _doubt(self, doubts: Sequence[_Doubt]) -> list[bool]:
        claims = [(id, claim) for id, claim, _ in doubts]
        with connection():
            owned = lifecycle.doubt(claims, {id: wait for id, _, wait in doubts if wait})
        return [claim in owned for claim in claims]

    def _read(self, claims: Sequence[tuple[int, int]]) -> list[list[bytes] | None]:
        return [self._insist(partial(attachments.contents, *claim)) for claim in claims]

    def _in_thread(self, record: Callable[[], T]) -> T:
        """Insist, in a thread that keeps no connection."""
        try:
            return self._insist(record)
        finally:
            database.close()

    def _insist(self, record: Callable[[], T]) -> T:
        pause = unrecorded.SHORTEST_PAUSE
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
            pause = min(unrecorded.LONGEST_PAUSE, 2 * pause)
