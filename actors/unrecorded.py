"""Keep outcomes that could not be recorded, and try again until the database accepts them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple

from db.coalesce import Answer, Item, Waiter, answer
from db.database import Unacceptable, Unavailable, database
from db.records import Settlement
from runtime import logs, metrics
from settings import Settings

log = logs.get("claims")

SHORTEST_PAUSE = 0.1  # seconds before the second try to record an outcome; it doubles with each try
LONGEST_PAUSE = 2.0  # seconds between two such tries
SETTLE_BATCH = 500  # outcomes per statement
TROUBLE_LIMIT = 200  # characters of an error that are kept


class _Entry(NamedTuple, Generic[Item, Answer]):
    item: Item
    future: Waiter[Answer]
    since: float  # time.monotonic() of the first failure


class Unrecorded(Generic[Item, Answer]):
    """Thread that repeats `run` for the items that failed, whatever the error was.

    Each round tries all items in one statement. If that fails for another reason than a lost connection,
    it tries each item alone, so that one that cannot be recorded does not delay the others. If the database refuses the
    values of an item, its `reductions` are tried, most complete first. Rounds are SHORTEST_PAUSE to LONGEST_PAUSE
    seconds apart. SHUTDOWN_GRACE seconds after `stop` the callers get the error, and the log names the notifications
    (`id_of`).
    """

    def __init__(
        self,
        name: str,
        run: Callable[[Sequence[Item]], Sequence[Answer]],
        settings: Settings,
        id_of: Callable[[Item], int],
        reductions: Callable[[Item], Sequence[Item]] = lambda _: (),
    ) -> None:
        self._name, self._run, self._settings = name, run, settings
        self._id_of, self._reductions = id_of, reductions
        self._entries: list[_Entry[Item, Answer]] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stop_at: float | None = None
        self._closed = False
        self.trouble = ""  # the last error, while there are items

    def keep(self, item: Item, future: Waiter[Answer], error: Exception) -> None:
        """Try an item until it is recorded, then resolve the future."""
        with self._changed:
            self._entries.append(_Entry(item, future, time.monotonic()))
            self._tell(error)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=f"{self._name}-again", daemon=True)
                self._thread.start()
            self._changed.notify()

    def items(self) -> list[Item]:
        """Return the items that are not recorded yet."""
        with self._changed:
            return [entry.item for entry in self._entries]

    def stop(self) -> None:
        """Give up SHUTDOWN_GRACE seconds from now."""
        with self._changed:
            self._stop_at = time.monotonic() + self._settings.process.shutdown_grace
            self._changed.notify()

    def close(self, timeout: float) -> None:
        """End the thread once nothing is left, or give up what is left after `timeout` seconds."""
        with self._changed:
            self._closed = True
            self._stop_at = min(self._stop_at or float("inf"), time.monotonic() + timeout)
            thread = self._thread
            self._changed.notify()
        if thread is not None:
            thread.join(timeout + LONGEST_PAUSE)

    def _work(self) -> None:
        pause = SHORTEST_PAUSE
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._entries or self._closed)
                if not self._entries:
                    break
            time.sleep(pause)
            before = len(self._entries)
            self._round()
            progress = len(self._entries) < before
            pause = SHORTEST_PAUSE if progress else min(LONGEST_PAUSE, 2 * pause)
            if self._entries and self._stop_at is not None and time.monotonic() >= self._stop_at:
                self._give_up()
        if not database.is_closed():
            database.close()

    def _round(self) -> None:
        with self._changed:
            entries = list(self._entries[:SETTLE_BATCH])
        error = self._attempt(entries, [entry.item for entry in entries])
        if error is None or _is_of_the_connection(error):
            return
        for entry in entries:
            error = self._attempt([entry], [entry.item])
            if error is None:
                continue
            if _is_of_the_connection(error):
                return
            if not isinstance(error, Unavailable):
                self._reduce(entry)

    def _reduce(self, entry: _Entry[Item, Answer]) -> None:
        """Record an item with fewer details."""
        for reduced in self._reductions(entry.item):
            error = self._attempt([entry], [reduced])
            if error is None:
                log.error("outcome.reduced", stage=self._name, error=self.trouble)
                return
            if isinstance(error, Unavailable):
                return

    def _attempt(self, entries: Sequence[_Entry[Item, Answer]], items: Sequence[Item]) -> Exception | None:
        """Run the items for the callers of the entries; return the error if there was one."""
        try:
            answers = self._run(items)
        except Exception as error:  # noqa: BLE001 - whatever it is, the items are kept
            with self._changed:
                self._tell(error)
            return error
        self._end(entries, answers)
        log.warning("outcome.recorded_late", stage=self._name, count=len(entries), seconds=_age(entries))
        return None

    def _give_up(self) -> None:
        entries = list(self._entries)
        ids = [self._id_of(entry.item) for entry in entries]
        log.error("outcome.not_recorded", stage=self._name, ids=ids, error=self.trouble)
        lost = Unavailable(f"could not be recorded before the worker had to stop: {self.trouble}")
        self._end(entries, [lost] * len(entries))

    def _end(self, entries: Sequence[_Entry[Item, Answer]], answers: Sequence[Answer | Exception]) -> None:
        ended = set(map(id, entries))
        with self._changed:
            self._entries = [entry for entry in self._entries if id(entry) not in ended]
        answer([(entry.future, said) for entry, said in zip(entries, answers, strict=True)])

    def _tell(self, error: Exception) -> None:
        metrics.record_failures[self._name].inc()
        ours = isinstance(error, (Unavailable, Unacceptable))
        said = str(error)[:TROUBLE_LIMIT] if ours else type(error).__name__  # other texts may quote personal data
        if said != self.trouble:
            log.error("outcome.kept", stage=self._name, count=len(self._entries), error=said)
        self.trouble = said


def _is_of_the_connection(error: Exception) -> bool:
    return isinstance(error, Unavailable) and not error.of_the_statement


def _age(entries: Sequence[_Entry[Item, Answer]]) -> float:
    return round(time.monotonic() - min(entry.since for entry in entries), 1)


def reductions(settlement: Settlement) -> tuple[Settlement, ...]:
    """Return ever shorter versions of a settlement whose values the database refuses; id, claim and status stay."""
    attempt = settlement.attempt
    plain = (attempt.text or "").encode("ascii", "replace").decode()
    bare = attempt._replace(phase=None, reply_code=None, enhanced_code=None, text="what was said could not be stored")
    return (
        settlement._replace(attempt=attempt._replace(text="".join(c if c.isprintable() else "?" for c in plain))),
        settlement._replace(attempt=bare, suppress=None),
    )
