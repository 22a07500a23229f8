"""What became of an attempt, told to whoever wants to know: the log, the heartbeat, the metrics.

The log is told at once. What is counted is added up for many attempts together: a number of its own for each
of them would cost a mail a tenth of its CPU.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import logs
import metrics
from actors.broker import broker
from actors.tallies import tallies
from db.models import CALLBACK
from db.records import Claimed, Settlement

log = logs.get("delivery")

REASONS = ("rejected", "exhausted", "outcome-unknown")
AT_ONCE = 200  # attempts


class _Told(NamedTuple):
    """What is counted of an attempt. `seconds`: since it was due; `lag`: of a callback, since what it tells of."""

    lane: str
    channel: str
    outcome: str
    phase: str
    event: str
    reason: str
    seconds: float
    lag: float


_told: deque[_Told] = deque()


def report(notification: Claimed, settlement: Settlement, claimed_at: float, *, owned: bool) -> None:
    """Call it when the settlement is recorded, or was not `owned` any more. `claimed_at`: of `time.monotonic()`."""
    attempt, lane = settlement.attempt, notification.lane
    event = ("retried" if settlement.status == "pending" else settlement.status) if owned else "lost_race"
    _told.append(
        _Told(
            *(lane, "sandbox" if notification.sandbox else notification.type),
            *(attempt.outcome, attempt.phase or "none", event, settlement.reason or "none"),
            notification.late + attempt.finished - claimed_at,
            # Its row was made by the statement that ended what it tells of.
            max(0.0, broker.now() - notification.created_at.timestamp()) if lane == CALLBACK else 0.0,
        )
    )
    if len(_told) >= AT_ONCE:
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
    some = list(_taken())
    for (lane, channel, outcome, phase), number in Counter(told[:4] for told in some).items():
        metrics.attempts[lane, channel, outcome, phase].inc(number)
    for (lane, channel, event, reason), number in Counter((*told[:2], *told[4:6]) for told in some).items():
        _count_end((lane, channel), event, reason, number)
    for (lane, channel), number in Counter(told[:2] for told in some if told.outcome == "uncertain").items():
        metrics.uncertain[lane, channel].inc(number)
        tallies.count("uncertain", number)
    for told in some:
        if told.event == "sent":
            metrics.due_to_sent[told[:2]].observe(told.seconds)
        if told.lane == CALLBACK and told.event in ("sent", "failed"):
            metrics.callback_lags[told.event].observe(told.lag)


def _taken() -> Iterator[_Told]:
    """All that there is, each for one of those who ask."""
    try:
        while True:
            yield _told.popleft()
    except IndexError:
        return


def _count_end(kind: tuple[str, str], event: str, reason: str, number: int) -> None:
    tallies.count(event, number)
    if event == "retried":
        metrics.retries[kind].inc(number)
    elif event == "failed":
        metrics.failed[(*kind, reason)].inc(number)
    elif event == "lost_race":
        metrics.lost_races[kind].inc(number)
