"""One thread that speaks for all others of a worker: who waits for an answer gives way to the rest meanwhile.

A thread of its own for each conversation costs more than the conversation: every answer wakes one,
and all of them want the interpreter. So each of Dramatiq's threads has what it does done here, by a
greenlet, and sleeps until all of it is done. What is written for it is written as for a thread; it
waits by `wait`, for what blocks otherwise it asks `outside`, and what a thread keeps it keeps in a
ContextVar. Where there is no epoll (it is Linux's own), the threads do it all themselves.
"""

from __future__ import annotations

import contextvars
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from greenlet import getcurrent, greenlet

import logs

T = TypeVar("T")
log = logs.get("hub")

SWEEP = 0.05  # seconds; a wait may last so much longer than it should


class Watch:
    """A socket, and who waits for it. `ready`: what has happened to it since somebody asked."""

    __slots__ = ("deadline", "fd", "late", "ready", "waiter")

    def __init__(self, fd: int) -> None:
        self.fd, self.ready, self.deadline, self.late = fd, 0, 0.0, False
        self.waiter: greenlet | None = None


class Double(greenlet):
    """Stands for a thread in the hub."""

    def __init__(self, hub: Hub, function: Callable[[], None]) -> None:
        super().__init__(function)
        self.hub = hub


class Promise(Generic[T]):
    """A future for a double, without the locks of one for threads; those that are resolved together are one wake-up."""

    __slots__ = ("_done", "_error", "_hub", "_result", "_waiter")

    def __init__(self, hub: Hub) -> None:
        self._hub, self._done = hub, False
        self._error: Exception | None = None
        self._waiter: greenlet | None = None

    def get_loop(self) -> Hub:
        """In whose thread it is resolved."""
        return self._hub

    def done(self) -> bool:
        return self._done

    def set_result(self, result: T) -> None:
        self._result = result
        self._end()

    def set_exception(self, error: Exception) -> None:
        self._error = error
        self._end()

    def result(self) -> T:
        """Wait for it; only one can."""
        if not self._done:
            self._waiter = getcurrent()
            self._hub.give_way()
        if self._error is not None:
            raise self._error
        return self._result

    def _end(self) -> None:
        self._done = True
        if self._waiter is not None:
            self._waiter.switch()


Pending = Future[T] | Promise[T]  # for `wait`


def promise() -> Pending[Any]:
    """For what another thread is to answer: to be waited for with `wait`."""
    hub = current()
    return Promise(hub) if hub else Future()


def current() -> Hub | None:
    """The hub in which this runs, if it does."""
    double = getcurrent()
    return double.hub if isinstance(double, Double) else None


def wait(future: Pending[T]) -> T:
    """The result of a future that another thread sets."""
    if isinstance(future, Promise):
        return future.result()
    double = getcurrent()
    if isinstance(double, Double) and not future.done():
        future.add_done_callback(lambda _: double.hub.soon(double.switch))
        double.hub.give_way()
    return future.result()


def outside(function: Callable[[], T]) -> T:
    """Have a thread do what blocks: to ask the database, to connect, to work on what is large."""
    hub = current()
    return wait(hub.threads.submit(function)) if hub else function()


def started(threads: int) -> Hub | None:
    """A hub for so many threads; None where there cannot be one."""
    if not hasattr(select, "epoll"):
        return None
    hub = Hub(threads)
    hub.start()
    return hub


class Hub(threading.Thread):
    """The thread. `threads`: how many have something done here at the same time."""

    def __init__(self, threads: int) -> None:
        super().__init__(name="hub", daemon=True)
        self.threads = ThreadPoolExecutor(threads, thread_name_prefix="outside")
        self._poll = select.epoll()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._rung = False
        self._calls: deque[Callable[[], object]] = deque()
        self._watched: dict[int, Watch] = {}
        self._waiting: set[Watch] = set()
        self._contexts = threading.local()
        self._going = True
        self._poll.register(self._bell, select.EPOLLIN)

    def have_done(self, function: Callable[[], T]) -> T:
        """For threads: have this done in the hub, and return or raise what it does."""
        done: Future[T] = Future()

        def work() -> None:
            try:
                done.set_result(function())
            except BaseException as error:  # noqa: BLE001 - it is raised in the thread
                done.set_exception(error)

        context = getattr(self._contexts, "mine", None)
        if context is None:
            context = self._contexts.mine = contextvars.copy_context()
        self.soon(lambda: self._begin(work, context))
        return done.result()

    def soon(self, call: Callable[[], object]) -> None:
        """For any thread: call this in the hub."""
        self._calls.append(call)
        if not self._rung:
            self._rung = True
            os.eventfd_write(self._bell, 1)

    def call_soon_threadsafe(self, call: Callable[[T], object], argument: T) -> None:
        """The same, as asyncio's loops call it."""
        self.soon(lambda: call(argument))

    def watch(self, fd: int) -> Watch:
        """From now on, notice what happens to a socket."""
        watch = self._watched[fd] = Watch(fd)
        self._poll.register(fd, select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET)
        return watch

    def forget(self, watch: Watch) -> None:
        """Before the socket is closed, which takes it out of the poll."""
        if self._watched.get(watch.fd) is watch:
            del self._watched[watch.fd]

    def wait_for(self, watch: Watch, event: int, deadline: float) -> bool:
        """Until something has happened to a socket that may be what was wanted; False where it is too late."""
        event |= select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP
        while not watch.ready & event:
            watch.waiter, watch.deadline, watch.late = getcurrent(), deadline, False
            self._waiting.add(watch)
            self.give_way()
            self._waiting.discard(watch)
            if watch.late:
                return False
        # To be noticed again it must happen again; that the other side has closed does not.
        watch.ready &= ~event | select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP
        return True

    def give_way(self) -> None:
        """To the others, until somebody switches back."""
        self._main.switch()

    def run(self) -> None:
        self._main = getcurrent()
        self._swept_at = time.monotonic()
        while self._going:
            try:
                self._turn()
            except Exception:
                # Whatever it is, a worker without its hub would go on claiming and send nothing.
                log.exception("hub.failed")
                time.sleep(SWEEP)
        self._poll.close()
        os.close(self._bell)

    def stop(self) -> None:
        """When nobody has anything done here any more."""
        self.soon(self._end)
        self.join()
        self.threads.shutdown(wait=False)

    def _turn(self) -> None:
        for fd, event in self._poll.poll(SWEEP if self._waiting else None):
            if fd == self._bell:
                os.eventfd_read(self._bell)
                self._rung = False
            elif watch := self._watched.get(fd):
                watch.ready |= event
                self._wake(watch)
        if (now := time.monotonic()) >= self._swept_at + SWEEP:
            self._swept_at = now
            for watch in [w for w in self._waiting if w.deadline <= now]:
                watch.late = True
                self._wake(watch)
        while self._calls:
            self._safely(self._calls.popleft())

    def _end(self) -> None:
        self._going = False

    def _begin(self, work: Callable[[], None], context: contextvars.Context) -> None:
        double = Double(self, work)
        double.gr_context = context
        double.switch()

    def _wake(self, watch: Watch) -> None:
        waiter, watch.waiter = watch.waiter, None
        if waiter is not None:
            self._safely(waiter.switch)

    @staticmethod
    def _safely(call: Callable[[], Any]) -> None:
        try:
            call()
        except Exception:
            # Whatever it is, the others go on.
            log.exception("hub.failed")
