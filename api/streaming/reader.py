"""Reads the changes of all clients that have listeners in this process; blocking, on a thread of its own."""

from __future__ import annotations

import time
from collections.abc import Set
from typing import NamedTuple

from db import changes, listeners
from db.changes import Change
from db.database import connection
from runtime import logs
from settings import Settings

log = logs.get("streams")

AT_ONCE = 2_000  # changes in one statement
TRIES, PAUSE = 5, 0.005  # times and seconds: most transactions that write changes have ended by then
HELD_UP = 5.0  # seconds after which a delay is logged
RENEW = 60.0  # largest number of seconds between two renewals of a lease


class Seen(NamedTuple):
    """Result of one read.

    `news` are the new changes up to `position` of the clients that were `open` before. `drawn` is the highest change
    id drawn so far. The next read returns everything after `position` of the clients that are `open` now. `whole` has
    for each client the change from which its record is complete. `broken` are clients of which changes were missed.
    """

    news: list[Change]
    position: int
    drawn: int
    open: frozenset[int]
    whole: dict[int, int]
    broken: frozenset[int]


class _Opening(NamedTuple):
    """New lease: transactions that may not know of it, and the `time.monotonic()` by which all of them have ended."""

    transactions: frozenset[str]
    until: float


class Reader:
    """Reader of changes of an API process. If `look` raises Unavailable, call it again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.reset()

    def reset(self) -> None:
        """Forget all state, once there are no listeners any more."""
        self._decided: int | None = None
        self._undecided: tuple[int, frozenset[str], float] | None = None
        self._read = 0
        self._renewed: dict[int, float] = {}
        self._opening: dict[int, _Opening] = {}
        self._open: frozenset[int] = frozenset()

    def look(self, clients: Set[int]) -> Seen | None:
        """Return what is new for these clients; None while open transactions may still add changes."""
        with connection():
            broken = self._hold(clients)
            drawn = changes.drawn()
            if self._decided is not None and drawn < self._decided:  # The database was restored to an earlier state.
                self.reset()
                return Seen([], drawn, drawn, frozenset(), {}, frozenset(clients))
            self._advance(drawn)
            if self._decided is None:
                return None
            self._begin(self._decided)
            known = self._open & clients
            news, position = self._news(known, self._decided)
            # Read after the changes, so that it covers all deletions before they were read.
            whole = listeners.whole(sorted(clients - self._opening.keys()))
        broken |= {client for client in known if whole.get(client, drawn + 1) > self._read}
        for client in clients - whole.keys() - self._opening.keys():
            self._renewed.pop(client, None)
        # Set only now: if a statement had failed, everything would have to be read again.
        self._read = position
        self._open = frozenset(client for client, since in whole.items() if since <= position) - broken
        return Seen(news, position, drawn, self._open, whole, frozenset(broken))

    def _hold(self, clients: Set[int]) -> set[int]:
        """Take and renew leases; return the clients whose lease was lost in the meantime."""
        now, kept = time.monotonic(), self._settings.stream_kept
        self._renewed = {client: at for client, at in self._renewed.items() if client in clients}
        self._opening = {client: o for client, o in self._opening.items() if client in clients}
        due = {c for c in clients if now - self._renewed.get(c, -RENEW) >= min(RENEW, kept / 4)}
        if not due:
            return set()
        fresh = {client for client, since in listeners.hold(due, kept).items() if since is None}
        if begun := fresh - self._opening.keys():
            opening = _Opening(listeners.transactions(), now + self._settings.db_statement_timeout)
            self._opening |= dict.fromkeys(begun, opening)
        self._renewed |= dict.fromkeys(due, now)
        return fresh & self._open

    def _advance(self, drawn: int) -> None:
        """Find the change up to which all transactions have ended."""
        if self._undecided is None:
            if drawn == self._decided:
                return
            self._undecided = drawn, changes.writers(), time.monotonic()
        last, writers, since = self._undecided
        for _ in range(TRIES):
            if not writers:
                self._decided, self._undecided = last, None
                return
            time.sleep(PAUSE)
            writers &= changes.writers()
        if time.monotonic() - since > HELD_UP:
            log.warning("streams.held_up", transactions=len(writers))
            since = time.monotonic()
        self._undecided = last, writers, since

    def _begin(self, decided: int) -> None:
        """Open new leases, whose records are complete once all transactions that did not know of them have ended."""
        if not self._opening:
            return
        left, now = listeners.transactions(), time.monotonic()
        self._opening = {c: o._replace(transactions=o.transactions & left) for c, o in self._opening.items()}
        if ready := {c for c, o in self._opening.items() if not o.transactions or now >= o.until}:
            for client in listeners.begin(ready, decided):
                del self._opening[client]

    def _news(self, clients: Set[int], decided: int) -> tuple[list[Change], int]:
        """Return up to AT_ONCE new changes, and the position up to which they were read."""
        if not clients or self._read == decided:
            return [], decided
        news = changes.read(clients, self._read, decided, AT_ONCE)
        return news, news[-1].id if len(news) == AT_ONCE else decided


def page(client: int, after: int, until: int, most: int) -> list[Change] | None:
    """Return earlier changes of one client; None if some of them are deleted."""
    with connection():
        found = changes.read([client], after, until, most)
        whole = listeners.whole([client])
    return found if whole.get(client, after + 1) <= after else None
