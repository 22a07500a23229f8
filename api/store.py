"""Access to the database from the event loop: writes go through coalescers, reads through a few threads."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import ParamSpec, TypeVar

from actors.queue.accepted import enqueue, enqueue_stored
from actors.queue.wake_up import WakeUp, WakeUpQueue
from api.access.cpu_budget import CpuBudget
from api.access.fair_gate import FairGate
from api.http import spans
from api.http.shared_timeout import SharedTimeout
from api.streaming.long_poll import LongPolls
from db import lifecycle
from db.batches import Answer, Batch, accept_batch
from db.clock import clock
from db.coalesce import REST, Coalescer
from db.database import Contended, Unavailable, connection
from db.drafts import Group
from db.idempotency import Outcome, Post, Refusal, Stored, accept_once
from db.records import Accepted, Draft
from runtime import metrics
from settings import Settings

P = ParamSpec("P")
T = TypeVar("T")
Item = TypeVar("Item")

BATCHES_WAITING = 20  # batches that may wait for the database in one API process; more get 503
IDEMPOTENCY_WAIT = 1.0  # seconds to wait for another request with the same Idempotency-Key, before a 409
MOMENT = 0.02  # seconds to wait for an Idempotency-Key that others still held after the first wait
# Client whose request is being answered, None without one. Reads are admitted by turns between clients.
reading_for: ContextVar[int | None] = ContextVar("reading_for", default=None)


class NotificationStore:
    """Stores and reads notifications for the event loop. There is one per API process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._limit = settings.database.connect_timeout + settings.database.statement_timeout  # seconds
        self._wake_ups = WakeUpQueue(settings)
        self._accepting: Coalescer[Draft, Accepted] = Coalescer(
            "accept",
            self._accept,
            most=settings.store.accept_batch,
            waiting=settings.store.accept_waiting,
            rest=REST,
        )
        # Notifications with attachments are stored one at a time on their own thread, so that they do not delay others.
        self._attaching: Coalescer[Post, Outcome] = Coalescer(
            "attach", self._accept_once, most=1, waiting=settings.store.accept_waiting
        )
        # These have their own connections: waiting for a key, or for a thousand rows, delays no other request.
        self._accepting_once: Coalescer[Post, Outcome] = Coalescer(
            "accept-once",
            self._accept_once,
            most=settings.store.accept_batch,
            waiting=settings.store.accept_waiting,
            rest=REST,
        )
        self._accepting_batches: Coalescer[Batch, Answer | Refusal] = Coalescer(
            "accept-batch", self._accept_batches, most=1, waiting=BATCHES_WAITING
        )
        # A client that sends many items waits here for its turn, so that the items of others do not queue behind them.
        batch, waiting = settings.store.accept_batch, settings.store.accept_waiting
        self._gates: dict[object, FairGate] = {
            self._accepting: self._share("accept", batch, waiting),
            self._accepting_once: self._share("accept-once", batch, waiting),
            self._attaching: self._share("attach", 1, waiting),
            self._accepting_batches: self._share("accept-batch", 1, BATCHES_WAITING),
        }
        # One for each coalescer: a future that waits long keeps later ones in memory (shared_timeout.py).
        self._timeouts: defaultdict[object, SharedTimeout] = defaultdict(lambda: SharedTimeout(self._limit))
        self._readers = ThreadPoolExecutor(settings.store.read_threads, thread_name_prefix="read")
        self._gate = self._gate_of("read", settings.store.read_threads, settings.store.read_waiting)
        self.watch = LongPolls(settings)
        self.cpu = CpuBudget(divided=settings.http.auth != "off")

    async def accept(self, draft: Draft) -> Accepted:
        """Store a notification durably, then enqueue it.

        Raises:
            Unavailable, Full: it was not stored, as far as is known.
        """
        with spans.creation(draft.queue) as span:
            accepted = await self._asked(self._accepting, spans.carrying(draft, span), draft.client_id)
            spans.identify(span, accepted.id)
            return accepted

    async def accept_once(self, post: Post) -> Outcome:
        """Store a notification with an idempotency key or attachments; a key is stored only once. See `accept`."""
        coalescer = self._attaching if post.draft.contents else self._accepting_once
        with spans.creation(post.draft.queue) as span:
            carrying = post._replace(draft=spans.carrying(post.draft, span))
            outcome = await self._asked(coalescer, carrying, post.draft.client_id)
            if isinstance(outcome, Stored):
                spans.identify(span, outcome.accepted.id)
            return outcome

    async def accept_batch(self, batch: Batch) -> Answer | Refusal:
        """Store many notifications in one transaction. See `accept`."""
        drafts = batch.drafts()
        with spans.creation(drafts[0].queue if drafts else "normal", len(drafts)) as span:
            return await self._asked(self._accepting_batches, spans.carrying_all(batch, span), batch.client_id)

    def enqueue(self, id: int, priority: str, client: int) -> None:
        """Enqueue a notification that has become due; never raise."""
        self._wake_ups.enqueue(WakeUp([id], clock.now(), priority, client))

    async def read(self, report: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function on a thread that keeps its database connection, and return its result.

        Clients are admitted by turns, and no client gets all threads. Raise Full if too many wait.
        """
        return await self.within_reason(self._admitted(partial(report, *args, **kwargs)))

    async def read_aside(self, report: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function on behalf of several requests: like `read`, but without waiting for a turn."""
        return await self.within_reason(
            asyncio.get_running_loop().run_in_executor(
                self._readers, partial(_begun, time.monotonic()), partial(report, *args, **kwargs)
            )
        )

    def close(self) -> None:
        """Finish the work in progress, within SHUTDOWN_GRACE."""
        for coalescer in (self._accepting, self._attaching, self._accepting_once, self._accepting_batches):
            coalescer.close(self.settings.process.shutdown_grace)
        self._wake_ups.close(self.settings.redis.timeout)
        self._readers.shutdown(wait=False, cancel_futures=True)
        self.watch.close()

    async def within_reason(self, answer: Awaitable[T]) -> T:
        """Wait as long as the database may take: a database that hangs does not enforce its own timeouts."""
        try:
            async with asyncio.timeout(self._limit):
                return await answer
        except TimeoutError:
            raise self._no_answer() from None

    async def _admitted(self, report: Callable[[], T]) -> T:
        client, wanted_at = reading_for.get(), time.monotonic()
        await self._gate.enter(client)
        job = self._readers.submit(_begun, wanted_at, report)
        leave = partial(self._gate.leave, client)
        loop = asyncio.get_running_loop()
        # Leave when the thread is free, which may be after the caller has given up.
        job.add_done_callback(lambda _: _call_soon(loop, leave))
        return await asyncio.wrap_future(job)

    async def _asked(self, coalescer: Coalescer[Item, T], item: Item, client: int) -> T:
        """Wait for a place, then for the answer; raise Full, Closed, or Unavailable if either wait takes too long."""
        gate = self._gates[coalescer]
        if not gate.enter_at_once(client):
            await self.within_reason(gate.enter(client))
        try:
            return await self._timeouts[coalescer].bounds(coalescer.ask(item))
        except TimeoutError:
            raise self._no_answer() from None
        finally:
            gate.leave(client)

    def _share(self, what: str, batch: int, waiting: int) -> FairGate:
        """Return the gate before a coalescer. It admits the items of the current and of the next statement: at least
        two."""
        next_batch = min(max(2, batch), waiting)
        return self._gate_of(what, batch + next_batch, max(1, waiting - next_batch))

    def _gate_of(self, what: str, most: int, waiting: int) -> FairGate:
        return FairGate(what, most, waiting, divided=self.settings.http.auth != "off")

    def _no_answer(self) -> Unavailable:
        return Unavailable(f"no answer within {self._limit:g} seconds")

    def _accept(self, drafts: Sequence[Draft]) -> list[Accepted]:
        left = self._wake_ups.left((draft.queue, draft.client_id) for draft in drafts)
        with spans.insertion(drafts), connection():
            accepted = lifecycle.accept(drafts, self.settings.queue.relay_grace, left)
        # The rows are committed: an error while enqueueing must not become an error of the request.
        enqueue(self._wake_ups, accepted, drafts, left)
        return accepted

    def _accept_once(self, posts: Sequence[Post]) -> list[Outcome]:
        left = self._wake_ups.left((post.draft.queue, post.draft.client_id) for post in posts)
        try:
            outcomes = self._stored_once(posts, IDEMPOTENCY_WAIT, left)
        except Contended:
            # Store them one at a time, so that only those wait whose key another transaction is writing.
            outcomes = [outcome for post in posts for outcome in self._alone(post, left)]
        enqueue_stored(self._wake_ups, outcomes, left)
        return outcomes

    def _alone(self, post: Post, left: Set[Group]) -> list[Outcome]:
        try:
            return self._stored_once([post], MOMENT, left)
        except Contended:
            return [Refusal.BUSY]

    def _stored_once(self, posts: Sequence[Post], wait: float, left: Set[Group]) -> list[Outcome]:
        with spans.insertion([post.draft for post in posts]), connection():
            return accept_once(posts, self.settings.queue.relay_grace, wait, left)

    def _accept_batches(self, batches: Sequence[Batch]) -> list[Answer | Refusal]:
        return [self._accept_batch(batch) for batch in batches]

    def _accept_batch(self, batch: Batch) -> Answer | Refusal:
        s = self.settings
        drafts = batch.drafts()
        left = self._wake_ups.left((draft.queue, draft.client_id) for draft in drafts)
        try:
            with spans.insertion(drafts), connection():
                answer = accept_batch(batch, s.queue.relay_grace, IDEMPOTENCY_WAIT, left)
        except Contended:
            return Refusal.BUSY
        if isinstance(answer, Answer) and not answer.undone and not answer.replayed:
            enqueue_stored(self._wake_ups, answer.items, left)
        return answer


def _call_soon(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # The loop has closed, so nothing waits for this any more.
        loop.call_soon_threadsafe(function)


def _begun(wanted_at: float, report: Callable[[], T]) -> T:
    metrics.waits["read"].observe(time.monotonic() - wanted_at)
    with connection():
        return report()
