"""Many callers, one statement: what is wanted at the same moment shares one round trip."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import weakref
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

from db.database import Unacceptable, database
from runtime import metrics

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Distant(Protocol):
    """A future that only the thread of its loop may resolve: one of asyncio's, or one like it."""

    def get_loop(self) -> Any:
        """What has `call_soon_threadsafe`."""

    def done(self) -> bool: ...

    def set_result(self, result: Any, /) -> None: ...

    def set_exception(self, exception: Exception, /) -> None: ...


Waiter = Future[Answer] | Distant


class Full(Exception):
    """Too many callers are waiting already: try again later."""


class Closed(Exception):
    """This process is shutting down and takes nothing new."""


class Coalescer(Generic[Item, Answer]):
    """One flusher thread with its own connection that runs `run` over all items that wait.

    `run` gets up to `most` items in the order of their submission and returns an answer for each,
    in the same order. Alone an item is run at once: there is no lingering. If `run` raises
    Unacceptable, each item is run by itself, so that only the one at fault is refused; any other
    error reaches all callers of that run. With `keep` no error reaches a caller: every item whose run
    failed is given to `keep` with its future and the error. More than `waiting` callers at once get Full.

    After a run for several it pauses until they have come again, for up to `rest` seconds, so that the next
    one is for all of them: where many come, fewer and larger statements serve them all sooner. Who comes
    alone waits for nobody.

    The thread starts with the first item, and anew in a child after a fork, which inherits nothing.
    """

    def __init__(  # noqa: PLR0913
        self,
        name: str,
        run: Callable[[Sequence[Item]], Sequence[Answer]],
        *,
        most: int,
        waiting: int,
        rest: float = 0.0,
        keep: Callable[[Item, Waiter[Answer], Exception], None] | None = None,
    ) -> None:
        self._name, self._run, self._most, self._waiting, self._rest = name, run, most, waiting, rest
        self._keep = keep
        self._reset()
        reset = weakref.WeakMethod(self._reset)
        os.register_at_fork(after_in_child=lambda: _call(reset()))

    def _reset(self) -> None:
        self._queue: SimpleQueue[tuple[Item, Waiter[Answer], float] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._awaited = 0  # how many end a pause; 0 while there is none
        self._enough = threading.Event()

    def submit(self, item: Item) -> Future[Answer]:
        """For threads: a future to wait for."""
        future: Future[Answer] = Future()
        self.put(item, future)
        return future

    def ask(self, item: Item) -> asyncio.Future[Answer]:
        """For the event loop: a future to await."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.put(item, future)
        return future

    def close(self, timeout: float) -> bool:
        """Take nothing new and finish what waits, for up to `timeout` seconds. True if all of it was done."""
        with self._lock:
            self._closed = True
            self._enough.set()
            thread = self._thread
        if thread is None:
            return True
        self._queue.put(None)
        thread.join(timeout)
        return not thread.is_alive()

    def put(self, item: Item, future: Waiter[Answer]) -> None:
        """For whoever has a future of his own. All answers of one run reach a loop in one wake-up."""
        with self._lock:
            if self._closed:
                raise Closed(self._name)
            if self._queue.qsize() >= self._waiting:
                raise Full(self._name)
            self._queue.put((item, future, time.monotonic()))
            if self._awaited and self._queue.qsize() >= self._awaited:
                self._enough.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._flush_all, name=self._name, daemon=True)
                self._thread.start()

    def _flush_all(self) -> None:
        self._sizes, self._waits = metrics.batches[self._name], metrics.waits[self._name]
        going = True
        while going:
            batch = [self._queue.get()]
            while len(batch) < self._most and batch[-1] is not None:
                try:
                    batch.append(self._queue.get_nowait())
                except Empty:
                    break
            going = batch[-1] is not None
            # Who has given up waiting, and may ask again, must not be served twice.
            wanted = [entry for entry in batch if entry is not None and not entry[1].done()]
            if wanted:
                self._sizes.observe(len(wanted))
                self._waits.observe(time.monotonic() - wanted[0][2])
                self._flush([(item, future) for item, future, _ in wanted])
            if self._rest and 1 < len(batch) < self._most:
                self._pause(len(batch))
        if not database.is_closed():
            database.close()

    def _pause(self, answered: int) -> None:
        """Until those who were answered wait again, beside those who do already."""
        with self._lock:
            waiting = self._queue.qsize()
            awaited = min(self._most, answered + waiting)
            if self._closed or waiting >= awaited:
                return
            self._awaited = awaited
            self._enough.clear()
        self._enough.wait(self._rest)
        self._awaited = 0

    def _flush(self, batch: Sequence[tuple[Item, Waiter[Answer]]]) -> None:
        try:
            answers = self._run([item for item, _ in batch])
            outcomes = [(future, answer) for (_, future), answer in zip(batch, answers, strict=True)]
        except Exception as error:  # noqa: BLE001 - it reaches every caller
            if self._keep:
                for item, future in batch:
                    self._keep(item, future, error)
            elif isinstance(error, Unacceptable) and len(batch) > 1:
                for entry in batch:
                    self._flush([entry])
            else:
                answer([(future, error) for _, future in batch])
        else:
            answer(outcomes)


def _call(function: Callable[[], None] | None) -> None:
    if function:
        function()


def answer(outcomes: Sequence[tuple[Waiter[Answer], Answer | Exception]]) -> None:
    """Resolve each future with its answer, or with the error, in the thread of its event loop."""
    loops: dict[Any, list[tuple[Waiter[Answer], Answer | Exception]]] = defaultdict(list)
    for future, outcome in outcomes:
        if isinstance(future, Future):
            _resolve([(future, outcome)])
        else:
            loops[future.get_loop()].append((future, outcome))
    for loop, resolved in loops.items():
        try:
            loop.call_soon_threadsafe(_resolve, resolved)
        except RuntimeError:  # The loop has closed: nobody waits any more.
            continue


def _resolve(outcomes: Sequence[tuple[Waiter[Answer], Answer | Exception]]) -> None:
    for future, outcome in outcomes:
        if future.done():  # The caller has gone away.
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
