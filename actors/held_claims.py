"""Claims that this process holds, and which of their notifications may be begun."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence, Set


class HeldClaims:
    """Set of held claims, as pairs of notification id and claim. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._claims: set[tuple[int, int]] = set()
        self._at_once: set[int] = set()  # ids that were recorded as begun by the claim itself
        self._begun: set[int] = set()  # other ids that are recorded as begun, or will be with the next statement
        self._recorded: Set[int] = frozenset()  # ids that the last statement recorded as begun

    def add(self, claims: Iterable[tuple[int, int]], at_once: Set[int]) -> None:
        """Add new claims. `at_once`: the ids that the claim has recorded as begun."""
        with self._lock:
            self._claims.update(claims)
            self._at_once.update(at_once)

    def drop(self, claims: Sequence[tuple[int, int]]) -> None:
        """Remove claims that are settled or handed back."""
        with self._lock:
            self._claims.difference_update(claims)
            ids = [id for id, _ in claims]
            self._at_once.difference_update(ids)
            self._begun.difference_update(ids)

    def ids(self) -> list[int]:
        """Return the ids of the held notifications."""
        with self._lock:
            return [id for id, _ in self._claims]

    def begin(self, ids: Iterable[int]) -> None:
        """Mark ids as begun; the next statement has to record them."""
        with self._lock:
            self._begun.update(ids)

    def may_begin(self, id: int) -> bool:
        """Return whether an id is marked as begun."""
        return id in self._at_once or id in self._begun

    def to_record(self) -> list[int] | None:
        """Return the ids to record as begun; None if all are recorded. Recorded ids that are finished do no harm."""
        with self._lock:
            return None if self._begun <= self._recorded else list(self._begun)

    def recorded(self, ids: Iterable[int]) -> None:
        """Note the ids that a statement has recorded as begun."""
        self._recorded = set(ids)
