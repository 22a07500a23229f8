"""Report the outcomes of attempts to the log, the heartbeat and the metrics.

Notifications that one statement records as sent share a log line; each other outcome has its own. Counts are added up
over many attempts before they reach the metrics. Either of these, done for every mail, takes a tenth of its CPU.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict

from actors.counters import counters
from db.clock import clock
from db.models import CALLBACK
from db.records import Claimed, Settlement
from runtime import logs, metrics

log = logs.get("delivery")

REASONS = ("rejected", "exhausted", "outcome-unknown")
AT_ONCE = 200  # attempts


class _Counts:
    """Reports that are not in the metrics yet. `times`: seconds from due to sent."""

    def __init__(self) -> None:
        self.reported = 0
        # By priority, channel, and outcome with phase or event with reason.
        self.outcomes: defaultdict[tuple[str, str, str, str], int] = defaultdict(int)
        self.ends: defaultdict[tuple[str, str, str, str], int] = defaultdict(int)
        self.providers: defaultdict[tuple[str, str, str], int] = defaultdict(int)  # by provider, channel and outcome
        self.times: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        self.lags: defaultdict[str, list[float]] = defaultdict(list)  # seconds from an event to the end of its callback


class _Sent:
    """Ids of sent notifications that are not in the log yet, and how long their attempts took in milliseconds."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.milliseconds: list[float] = []


_lock = threading.Lock()
_counts = _Counts()
_sent = _Sent()


def report(notification: Claimed, settlement: Settlement, claimed_at: float, *, owned: bool) -> None:
    """Report an attempt after its settlement. `owned`: the settlement was recorded. `claimed_at`: `time.monotonic()`.

    A settlement is not recorded if another worker has claimed the notification since.
    """
    attempt, priority = settlement.attempt, notification.priority
    event = _event(settlement) if owned else "lost_race"
    channel = "sandbox" if notification.sandbox else notification.type
    with _lock:
        counts = _counts
        counts.reported += 1
        counts.outcomes[priority, channel, attempt.outcome, attempt.phase or "none"] += 1
        counts.ends[priority, channel, event, settlement.reason or "none"] += 1
        counts.providers[attempt.provider, channel, attempt.outcome] += 1
        if event == "sent":
            counts.times[priority, channel].append(notification.late + attempt.finished - claimed_at)
        if priority == CALLBACK and event in ("sent", "failed"):
            # The callback's row was created by the statement that finished its notification.
            counts.lags[event].append(max(0.0, clock.now() - notification.created_at.timestamp()))
    if counts.reported >= AT_ONCE:
        count()
    milliseconds = round((attempt.finished - attempt.started) * 1000, 1)
    sent = event == "sent"
    if sent:
        _log_soon(settlement.id, milliseconds)
    tell = log.debug if sent else log.info
    tell(
        f"notification.{event}",
        id=settlement.id,
        outcome=attempt.outcome,
        phase=attempt.phase,
        code=attempt.reply_code,
        milliseconds=milliseconds,
    )


def _event(settlement: Settlement) -> str:
    if settlement.status != "pending":
        return settlement.status
    return "awaits_evidence" if settlement.delay is None else "retried"


def _log_soon(id: int, milliseconds: float) -> None:
    """Log a sent notification together with those that are reported in the same turn of the event loop."""
    if not _sent.ids:
        asyncio.get_running_loop().call_soon(_log_sent)
    _sent.ids.append(id)
    _sent.milliseconds.append(milliseconds)


def _log_sent() -> None:
    global _sent
    sent, _sent = _sent, _Sent()
    log.routine_of("notifications.sent", sent.ids, milliseconds=max(sent.milliseconds))


def count() -> None:
    """Add the new reports to the metrics. Upkeep calls it in each round, and the worker when it stops."""
    global _counts
    with _lock:  # Reports that arrive from now on are counted next time.
        counts, _counts = _counts, _Counts()
    for (priority, channel, outcome, phase), number in counts.outcomes.items():
        metrics.attempts[priority, channel, outcome, phase].inc(number)
        if outcome == "uncertain":
            metrics.uncertain[priority, channel].inc(number)
            counters.count("uncertain", number)
    for (priority, channel, event, reason), number in counts.ends.items():
        _count_end((priority, channel), event, reason, number)
    for (provider, channel, outcome), number in counts.providers.items():
        metrics.provider_attempts[provider, channel, outcome].inc(number)
        counters.count(f"{provider} {outcome}", number)
    for kind, values in counts.times.items():
        for seconds in values:
            metrics.due_to_sent[kind].observe(seconds)
    for event, values in counts.lags.items():
        for lag in values:
            metrics.callback_lags[event].observe(lag)


def _count_end(kind: tuple[str, str], event: str, reason: str, number: int) -> None:
    counters.count(event, number)
    if event == "retried":
        metrics.retries[kind].inc(number)
    elif event == "failed":
        metrics.failed[(*kind, reason)].inc(number)
    elif event == "lost_race":
        metrics.lost_races[kind].inc(number)
