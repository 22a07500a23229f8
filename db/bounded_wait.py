"""Bound on the time for which psycopg2 waits for an answer of PostgreSQL."""

from __future__ import annotations

import math
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg2.extensions import POLL_OK, POLL_READ, STATUS_SETUP

from db.hosts import NoAnswer


class _Waits(threading.local):
    """Seconds for which this thread waits for the answer to a statement; None: as long as other threads."""

    seconds: float | None = None


_waits = _Waits()


class BoundedWait:
    """The function that psycopg2 calls to wait for the server. It bounds the wait for a server that hangs or vanished.

    Without it psycopg2 waits as long as the kernel does, between 15 minutes and for ever.
    """

    def __init__(self, connecting: float, answering: float) -> None:
        self._connecting, self._answering = connecting, answering

    def __call__(self, conn: Any) -> None:
        answering = self._answering if _waits.seconds is None else _waits.seconds
        connecting = conn.status == STATUS_SETUP
        seconds = self._connecting if connecting else answering
        deadline = time.monotonic() + seconds
        poll = select.poll()
        while (state := conn.poll()) != POLL_OK:
            poll.register(conn.fileno(), select.POLLIN if state == POLL_READ else select.POLLOUT)
            left = None if deadline == math.inf else max(0.0, deadline - time.monotonic()) * 1000
            if not poll.poll(left):
                error = NoAnswer(f"no answer within {seconds:g} seconds")
                error.place = (conn.info.host, str(conn.info.port)) if connecting else None
                raise error


@contextmanager
def waiting(seconds: float) -> Iterator[None]:
    """Let this thread wait up to `seconds` for the answer to each statement; math.inf: without a bound."""
    before = _waits.seconds
    _waits.seconds = seconds
    try:
        yield
    finally:
        _waits.seconds = before
