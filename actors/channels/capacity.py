"""Placeholder until the real one lands."""

from __future__ import annotations


class Capacity:
    def __init__(self, most: int) -> None:
        self.most = most

    def limit(self, now: float) -> int:
        return self.most

    def refused(self, working: int, now: float) -> None: ...
    def throttled(self, open: int, now: float) -> None: ...
    def pause(self, now: float) -> float:
        return 0.0

    def took(self, now: float) -> None: ...
    def spent(self, mails: int, now: float) -> None: ...
    def messages(self) -> int | None:
        return None
