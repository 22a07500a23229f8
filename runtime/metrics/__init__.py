"""All metrics of this system, with their labels.

Look up a series by the values of its labels: `metrics.attempts[priority, channel, outcome, phase].inc()`. A series is
created at its first look-up, so that `multiprocess.share` can choose before where values are kept. The values of labels
come from the code, never from clients. As a safeguard, a metric with MOST series counts new ones together as "other".
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
    "Time from the head of a request to the end of its answer, by route template, method and class of status.",
    SECONDS,
    *("route", "method", "status"),
)
accepted = counter(
    "accepted",
    "Notifications stored by the API. Result: pending, or suppressed (the recipient was on the suppression list).",
    *("priority", "channel", "result"),
)
wake_ups = counter(
    "wake_ups",
    "Notifications for which the API had to enqueue a wake-up message. Result: enqueued; left (the queue was "
    "full), skipped (too many waited to be enqueued) or failed (Redis was down): the relay enqueues these later.",
    "result",
)
report_rejections = counter(
    "report_rejections", "Requests to the webhook of a provider that did not prove that they come from it.", "provider"
)
# The API and workers.
batches = histogram(
    "batch_size",
    "Calls that one statement or one round trip to Redis served, by stage: accept, claim, settle, enqueue and others.",
    SIZES,
    "stage",
)
waits = histogram(
    "wait_seconds",
    "Time that the first of the calls served together waited in its process. Stage read: time until one of the "
    "READ_THREADS was free.",
    SECONDS,
    "stage",
)
# Workers.
attempts = counter(
    "attempts",
    "Attempts, by outcome and by the phase of the conversation in which they ended.",
    *("priority", "channel", "outcome", "phase"),
)
due_to_sent = histogram(
    "due_to_sent_seconds",
    "Time from when a notification was due (accepted, sendAt or next attempt) until it was sent.",
    TO_SENT,
    *("priority", "channel"),
)
callback_lags = histogram(
    "callback_lag_seconds",
    "Time from the end of a notification until its callback was delivered (result sent) or given up (failed).",
    LAGS,
    "result",
)
retries = counter("retries", "Failed attempts that will be followed by another one.", "priority", "channel")
failed = counter(
    "failed",
    "Notifications that failed for good in a worker, by reason: rejected, exhausted, outcome-unknown.",
    *("priority", "channel", "reason"),
)
uncertain = counter(
    "uncertain", "Attempts with an unknown outcome: the content was sent, but not answered.", "priority", "channel"
)
lost_races = counter(
    "lost_races", "Attempts whose notification another worker had claimed before their end.", "priority", "channel"
)
record_failures = counter(
    "record_failures",
    "Failed statements of a worker to record outcomes (stage settle, or doubt for onUncertain hold). The outcomes are "
    "kept and recorded later.",
    "stage",
)
upkeep = counter(
    "upkeep_notifications",
    "Notifications changed by upkeep or a claim. Action: rescued (its worker died), relayed (enqueued again), parked "
    "(paused), expired (too late), suppressed (recipient on the suppression list), released (handed back unsent).",
    "action",
)
breaker = counter("breaker_transitions", "Breakers opened or closed by workers.", "to")
failovers = counter(
    "failovers", "Notifications handed to another provider, because this one had certainly not taken them.", "provider"
)
provider_attempts = counter(
    "provider_attempts", "Attempts through each provider, by outcome.", *("provider", "channel", "outcome")
)
provider_senders = gauge(
    "provider_senders",
    "Connections (for push messages: requests at a time) that workers use for a provider now.",
    "provider",
    mode="livesum",
)
provider_waiting = gauge(
    "provider_waiting",
    "Notifications that workers have claimed for a provider, and for which no connection is free.",
    "provider",
    mode="livesum",
)
domain_throttles = counter(
    "domain_throttles", "Answers of this mail server by which one recipient domain alone was slowed down.", "provider"
)
domain_waits = counter(
    "domain_waits", "Mails that were put off because their recipient domain takes no more at the moment.", "provider"
)
reports = counter(
    "reports",
    "Reports about mails that workers have read. Source: api, smtp, imap or a provider. State: matched, unmatched, "
    "ignored (no event) or unreadable.",
    *("source", "state"),
)
connections = counter(
    "smtp_connections",
    "Connections to the mail server that were opened, or failed to open.",
    "result",
)
# Every process.
# Gauges are sums over live processes ("livesum"); the values of ended processes are dropped.
processes = gauge("processes", "Live processes, by program: api or worker.", "program", mode="livesum")
memory = gauge("process_resident_memory_bytes", "Resident memory of all live processes.", "program", mode="livesum")
files = gauge("process_open_fds", "Open file descriptors of all live processes.", "program", mode="livesum")
cpu = counter("process_cpu_seconds", "CPU time of all processes, including ended ones.", "program")

FAMILIES: tuple[Family[Counter] | Family[Histogram] | Family[Gauge], ...] = (
    *(requests, accepted, wake_ups, batches, waits, attempts, due_to_sent, callback_lags, retries, failed, uncertain),
    *(
        report_rejections,
        reports,
        lost_races,
        record_failures,
        upkeep,
        breaker,
        failovers,
        provider_attempts,
        provider_senders,
        provider_waiting,
        domain_throttles,
        domain_waits,
        connections,
        processes,
        memory,
        files,
        cpu,
    ),
)
