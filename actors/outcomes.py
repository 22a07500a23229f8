"""What became of an attempt, told to whoever wants to know: the log, the heartbeat, the metrics.

The log is told at once. What is counted is added up for many attempts together: a number of its own for each
of them would cost a mail a tenth of its CPU.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from functools import partial

from actors.counters import tallies
from db.clock import clock
from db.models import CALLBACK
from db.records import Claimed, Settlement
from runtime import logs, metrics

log = logs.get("delivery")

REASONS = ("rejected", "exhausted", "outcome-unknown")
AT_ONCE = 200  # attempts


class _Counts:
    """What was reported and not counted yet. Times are seconds since a notification was due, by its kind."""

    def __init__(self) -> None:
        self.reported = 0
        self.outcomes: defaultdict[tuple[str, str, str, str], int] = defaultdict(int)  # lane, channel, outcome, phase
        self.ends: defaultdict[tuple[str, str, str, str], int] = defaultdict(int)  # lane, channel, event, reason
        self.times: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        self.lags: defaultdict[str, list[float]] = defaultdict(list)  # of callbacks, since what they tell of


_lock = threading.Lock()
_counts = _Counts()


def report(notification: Claimed, settlement: Settlement, claimed_at: float, *, owned: bool) -> None:
    """Call it when the settlement is recorded, or was not `owned` any more. `claimed_at`: of `time.monotonic()`."""
    attempt, lane = settlement.attempt, notification.lane
    event = ("retried" if settlement.status == "pending" else settlement.status) if owned else "lost_race"
    channel = "sandbox" if notification.sandbox else notification.type
    with _lock:
        counts = _counts
        counts.reported += 1
        counts.outcomes[lane, channel, attempt.outcome, attempt.phase or "none"] += 1
        counts.ends[lane, channel, event, settlement.reason or "none"] += 1
        if event == "sent":
            counts.times[lane, channel].append(notification.late + attempt.finished - claimed_at)
        if lane == CALLBACK and event in ("sent", "failed"):
            # Its row was made by the statement that ended what it tells of.
            counts.lags[event].append(max(0.0, clock.now() - notification.created_at.timestamp()))
    if counts.reported >= AT_ONCE:
        count()
    tell = partial(log.routine, key=settlement.id) if event == "sent" else log.info
    tell(
        f"notification.{event}",
        id=settlement.id,
        outcome=attempt.outcome,
        phase=attempt.phase,
        code=attempt.reply_code,
        milliseconds=round((attempt.finished - attempt.started) * 1000, 1),
    )


def count() -> None:
    """Count what was reported and not counted yet. Upkeep calls it in each round, and the worker when it ends."""
    global _counts
    with _lock:  # What comes meanwhile is counted the next time.
        counts, _counts = _counts, _Counts()
    for (lane, channel, outcome, phase), number in counts.outcomes.items():
        metrics.attempts[lane, channel, outcome, phase].inc(number)
        if outcome == "uncertain":
            metrics.uncertain[lane, channel].inc(number)
            tallies.count("uncertain", number)
    for (lane, channel, event, reason), number in counts.ends.items():
        _count_end((lane, channel), event, reason, number)
    for kind, values in counts.times.items():
        for seconds in values:
            metrics.due_to_sent[kind].observe(seconds)
    for event, values in counts.lags.items():
        for lag in values:
            metrics.callback_lags[event].observe(lag)


def _count_end(kind: tuple[str, str], event: str, reason: str, number: int) -> None:
    tallies.count(event, number)
    if event == "retried":
        metrics.retries[kind].inc(number)
    elif event == "failed":
        metrics.failed[(*kind, reason)].inc(number)
    elif event == "lost_race":
        metrics.lost_races[kind].inc(number)
