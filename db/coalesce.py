"""Coalescer: requests of many simultaneous callers share one statement."""

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

REST = 0.002  # seconds to wait under load after a shared statement for the next callers

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Distant(Protocol):
    """A future that only the thread of its event loop may resolve, like asyncio's."""

    def get_loop(self) -> Any:
        """Return the event loop, which has `call_soon_threadsafe`."""

    def done(self) -> bool: ...

    def set_result(self, result: Any, /) -> None: ...

    def set_exception(self, exception: Exception, /) -> None: ...


Waiter = Future[Answer] | Distant


class Full(Exception):
    """Too many callers wait already: try again later."""


class Closed(Exception):
    """This process is shutting down and takes no new items."""


class Coalescer(Generic[Item, Answer]):
    """A flusher thread with its own connection that calls `run` with all items that wait.

    `run` gets up to `most` items in the order of submission and returns an answer for each, in the same order. A single
    item is run at once, without a delay. If `run` raises Unacceptable, each item is run by itself, so that only the
    faulty one is refused. Any other error reaches all callers of that run. With `keep`, no error reaches a caller:
    `keep` gets every item whose run failed, with its future and the error. If `waiting` items wait already, a new
    one raises Full.

    After a run for several items the thread pauses for up to `rest` seconds until as many items wait again, so that
    the next run takes all of them: under load, fewer and larger statements answer everybody sooner. After a run
    for one item there is no pause.

    The thread starts with the first item. A child process after a fork starts its own and inherits no items.
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
        self._awaited = 0  # how many waiting items end the pause; 0 while there is no pause
        self._enough = threading.Event()

    def submit(self, item: Item) -> Future[Answer]:
        """Add an item from a thread. Return a future to wait for."""
        future: Future[Answer] = Future()
        self.put(item, future)
        return future

    def ask(self, item: Item) -> asyncio.Future[Answer]:
        """Add an item from an event loop. Return a future to await."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.put(item, future)
        return future

    def close(self, timeout: float) -> bool:
        """Take no new items and finish those that wait, for up to `timeout` seconds. Return whether all were done."""
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
        """Add an item with a future of the caller's. All answers of one run reach an event loop in one wake-up."""
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
            # A caller that gave up may ask again: it must not be served twice.
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
        """Wait until as many items were added as were answered, on top of those that wait already."""
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
        except RuntimeError:  # The loop has closed, so no caller waits any more.
            continue


def _resolve(outcomes: Sequence[tuple[Waiter[Answer], Answer | Exception]]) -> None:
    for future, outcome in outcomes:
        if future.done():  # The caller gave up.
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
