"""What this system counts: every metric that a process keeps, its labels, and how many series it may make.

A series is found by its labels' values: `metrics.attempts[lane, channel, outcome, phase].inc()`. Nothing has a
series before a process asks for one, so that `multiprocess.share` can say first where they are kept. Labels hold
what the code names, never what a client sends; should one of them run away all the same, what is new from MOST
series on is counted together, as "other".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.metrics.families import MOST, OTHER, Family, counter, gauge, histogram

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge, Histogram

__all__ = ["FAMILIES", "MOST", "OTHER", "Family"]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
TO_SENT = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
LAGS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21_600.0, 86_400.0)
SIZES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)

# The API.
requests = histogram(
    "http_request_duration_seconds",
    "From the head of a request to its answer, its body included, by route template, method and class of status.",
    SECONDS,
    *("route", "method", "status"),
)
accepted = counter(
    "accepted",
    "Notifications stored by the API. Result: pending, or suppressed (its recipient was on the suppression list).",
    *("lane", "channel", "result"),
)
bells = counter(
    "bells",
    "Notifications whose bell in Redis the API was to ring. Result: rung; left (for the relay, which rings it when "
    "the lane's queue has room), skipped (too many waited to be rung) or failed (Redis was away): the relay's too.",
    "result",
)
# Both.
batches = histogram(
    "batch_size",
    "How many callers one statement or one trip to Redis served, by stage: accept, claim, settle, ring and the like.",
    SIZES,
    "stage",
)
waits = histogram(
    "wait_seconds",
    "How long the first of those who are served together waited in its process until they were; stage read: until "
    "one of the READ_THREADS was free.",
    SECONDS,
    "stage",
)
# Workers.
attempts = counter(
    "attempts",
    "Attempts that were made, by outcome and by the phase of the conversation in which they ended.",
    *("lane", "channel", "outcome", "phase"),
)
due_to_sent = histogram(
    "due_to_sent_seconds",
    "From when a notification was due (accepted, its sendAt, or its next attempt) until it was sent.",
    TO_SENT,
    *("lane", "channel"),
)
callback_lags = histogram(
    "callback_lag_seconds",
    "From when a notification ended until its callback was delivered, or was given up (result: sent, failed).",
    LAGS,
    "result",
)
retries = counter("retries", "Attempts after which there is another one, later.", "lane", "channel")
failed = counter(
    "failed",
    "Notifications that a worker gave up, by reason: rejected, exhausted, outcome-unknown.",
    *("lane", "channel", "reason"),
)
uncertain = counter(
    "uncertain", "Attempts of which nobody can know whether they were taken: the answer never came.", "lane", "channel"
)
lost_races = counter(
    "lost_races", "Attempts whose notification had been taken over by another worker meanwhile.", "lane", "channel"
)
record_failures = counter(
    "record_failures",
    "Statements of a worker that should have recorded outcomes (stage settle, or doubt for onUncertain hold) and "
    "failed. Their outcomes are kept and recorded later.",
    "stage",
)
upkeep = counter(
    "upkeep_notifications",
    "Notifications that upkeep or a claim moved. Action: rescued (its worker died), relayed (rung again), parked "
    "(paused), expired (too late), suppressed (on the list by now), released (handed back untried).",
    "action",
)
breaker = counter("breaker_transitions", "How often this system's workers opened or closed a breaker.", "to")
connections = counter(
    "smtp_connections",
    "Connections to the mail server that were opened, or failed to open. Attempts per opened one: how often it is "
    "used again.",
    "result",
)
# Every process.
# Gauges add up what live processes say ("livesum"): of a process that ended nothing is left to add.
processes = gauge("processes", "Live processes, by program: api or worker.", "program", mode="livesum")
memory = gauge(
    "process_resident_memory_bytes", "Resident memory of the live processes together.", "program", mode="livesum"
)
files = gauge("process_open_fds", "Open file descriptors of the live processes together.", "program", mode="livesum")
cpu = counter("process_cpu_seconds", "CPU of all processes together, those that have ended included.", "program")

FAMILIES: tuple[Family[Counter] | Family[Histogram] | Family[Gauge], ...] = (
    *(requests, accepted, bells, batches, waits, attempts, due_to_sent, callback_lags, retries, failed, uncertain),
    *(lost_races, record_failures, upkeep, breaker, connections, processes, memory, files, cpu),
)
