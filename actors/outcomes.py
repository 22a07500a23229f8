"""What became of an attempt, told to whoever wants to know: the log, the heartbeat, the metrics."""

from __future__ import annotations

from functools import partial

import logs
import metrics
from actors.broker import broker
from actors.tallies import tallies
from db.models import CALLBACK
from db.records import Claimed, Settlement

log = logs.get("delivery")

REASONS = ("rejected", "exhausted", "outcome-unknown")


def report(notification: Claimed, settlement: Settlement, claimed_at: float, *, owned: bool) -> None:
    """Call it when the settlement is recorded, or was not `owned` any more. `claimed_at`: of `time.monotonic()`."""
    attempt = settlement.attempt
    event = ("retried" if settlement.status == "pending" else settlement.status) if owned else "lost_race"
    tallies.count(event)
    if attempt.outcome == "uncertain":
        tallies.count("uncertain")
    _measure(notification, settlement, claimed_at, event)
    tell = partial(log.routine, key=settlement.id) if event == "sent" else log.info
    tell(
        f"notification.{event}",
        id=settlement.id,
        outcome=attempt.outcome,
        phase=attempt.phase,
        code=attempt.reply_code,
        milliseconds=round((attempt.finished - attempt.started) * 1000, 1),
    )


def _measure(notification: Claimed, settlement: Settlement, claimed_at: float, event: str) -> None:
    attempt, lane = settlement.attempt, notification.lane
    kind = lane, "sandbox" if notification.sandbox else notification.type
    metrics.attempts[(*kind, attempt.outcome, attempt.phase or "none")].inc()
    if event == "sent":
        metrics.due_to_sent[kind].observe(notification.late + attempt.finished - claimed_at)
    elif event == "retried":
        metrics.retries[kind].inc()
    elif event == "failed":
        metrics.failed[(*kind, settlement.reason or "none")].inc()
    else:
        metrics.lost_races[kind].inc()
    if attempt.outcome == "uncertain":
        metrics.uncertain[kind].inc()
    if lane == CALLBACK and event in ("sent", "failed"):
        # Its row was made by the statement that ended what it tells of.
        metrics.callback_lags[event].observe(max(0.0, broker.now() - notification.created_at.timestamp()))
