"""What is being done: workers, what waits for how long, breakers, pauses, keys. Within `connection()`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from cli.doctor.findings import Finding, ok, problem, warning
from cli.terminal.moments import span
from db import callbacks, diagnosis, drain, pauses
from db.pulse import Pulse, Worker, pulse
from db.workers import CAUGHT
from settings import Settings

ENDPOINTS = 5  # that keep failing and are named
LATE, FAR_TOO_LATE = 60.0, 600.0  # seconds that a notification which is due may wait


def findings(chosen: Settings) -> Iterator[Finding]:
    """Of a database whose schema is this version's."""
    now = pulse(chosen.worker_timeout, chosen.provider)
    yield _workers(now)
    yield from unrecorded(now.workers)
    yield from _differing(now)
    yield _waiting(now)
    yield from _breakers(now)
    yield from _callbacks()
    yield from _mail(now, chosen)
    yield from _turns(now, chosen)
    yield from _held(chosen)
    if chosen.auth == "off" and not chosen.local:
        yield problem("keys", "AUTH is off and the API listens to strangers", "set AUTH=required, or BIND to loopback")
    elif chosen.auth != "off" and not diagnosis.keyed():
        make = "make one: notify keys create --name my-app --scope send --scope read"
        yield warning("keys", "no key works, so that nobody can come in", make)


def _workers(now: Pulse) -> Finding:
    alive = [worker for worker in now.workers if worker.alive]
    waits = any(lane.waiting for lane in now.lanes.values())
    if alive:
        threads = sum(worker.threads for worker in alive)
        silent = len(now.workers) - len(alive)
        return ok("workers", f"{len(alive)} alive, {threads} threads{f'; {silent} not seen lately' if silent else ''}")
    start = "start some: dramatiq actors -p 2 -t 8"
    if waits:
        return problem("workers", "none is alive, and notifications wait", start)
    return warning("workers", "none is alive: what is accepted will wait", start)


def _waiting(now: Pulse) -> Finding:
    lane, oldest = max(
        ((name, lane.oldest_due) for name, lane in now.lanes.items()), key=lambda one: one[1], default=("", 0.0)
    )
    if oldest <= LATE:
        return ok("backlog", "nothing that is due has waited for long")
    grade = problem if oldest > FAR_TOO_LATE else warning
    fix = "see `notify top`: start more workers, or find out what holds them"
    return grade("backlog", f"in the lane {lane} the oldest that is due has waited for {span(oldest)}", fix)


def unrecorded(workers: Iterable[Worker]) -> Iterator[Finding]:
    """Outcomes that live workers keep because the database refuses to record them."""
    keeping = [worker for worker in workers if worker.alive and worker.unrecorded]
    if not keeping:
        return
    count = sum(worker.unrecorded for worker in keeping)
    what = f"{count} outcomes of attempts cannot be recorded, and those workers send nothing new: {keeping[0].trouble}"
    fix = "put right what PostgreSQL says here; do not restart workers before: they record it by themselves"
    yield problem("workers", what, fix)


def _differing(now: Pulse) -> Iterator[Finding]:
    """Settings that all workers should share, and do not."""
    values: defaultdict[str, set[str]] = defaultdict(set)
    for worker in now.workers:
        for name, value in worker.settings.items() if worker.alive else ():
            values[name].add(f"{value}")
    for name, different in sorted(values.items()):
        if len(different) > 1:
            what = f"live workers run with different {name}: {', '.join(sorted(different))}"
            yield warning("workers", what, "start all workers with the same settings")


def _callbacks() -> Iterator[Finding]:
    """Endpoints that keep failing."""
    for endpoint in callbacks.failing(ENDPOINTS):
        number = f"{endpoint.failures}{' or more' if endpoint.failures >= callbacks.LATELY else ''}"
        what = (
            f"endpoint {endpoint.id} of client {endpoint.client} keeps failing: {number} callbacks since"
            f" {endpoint.since:%Y-%m-%d %H:%M:%SZ}, the last one with: {endpoint.error or 'no answer'}"
        )
        yield warning(
            "callbacks", what, f"have its owner mend or disable it: notify callbacks deliveries {endpoint.id}"
        )


def _mail(now: Pulse, chosen: Settings) -> Iterator[Finding]:
    """Where the workers that run send to, if that is not what this command was told."""
    telling = [worker for worker in now.workers if worker.alive and worker.provider]
    used = ", ".join(sorted({f"{worker.provider}" for worker in telling}))
    if not telling or chosen.provider in used.split(", "):
        return
    if all(worker.settings.get(CAUGHT) == "true" for worker in telling):
        what = "`notify up` catches every mail: nothing is sent to anybody"
        if chosen.provider:
            yield warning("mail", what, "start it with SMTP_URL to have mail sent")
        else:
            yield ok("mail", what)
    elif chosen.provider:
        what = f"live workers send through {used}, and SMTP_URL here says {chosen.provider}"
        yield warning("mail", what, "give this command the workers' SMTP_URL, or restart the workers with this one")
    else:
        what = f"live workers send through {used}, which was not looked at"
        yield warning("mail", what, "give this command the SMTP_URL that the workers have")


def _turns(now: Pulse, chosen: Settings) -> Iterator[Finding]:
    """More worker processes than connections to the mail server that they may open together."""
    sharing = sum(worker.alive and worker.provider == chosen.provider for worker in now.workers)
    if chosen.provider and sharing > chosen.smtp.connections:
        what = (
            f"{sharing} worker processes share {chosen.smtp.connections} connections, so that some wait for their turn"
        )
        yield warning("mail", what, f"set connections={sharing} or more in SMTP_URL, or start fewer processes")


def _breakers(now: Pulse) -> Iterator[Finding]:
    for provider in now.providers:
        if provider.opened_at is not None:
            what = f"{provider.name} counts as down since {provider.opened_at:%Y-%m-%d %H:%M:%SZ}: {provider.reason}"
            yield problem("breaker", what, "put the mail server, or SMTP_URL, right; sending then goes on by itself")


def _held(chosen: Settings) -> Iterator[Finding]:
    for pause in pauses.all_in_force():
        if pause.kind == "channel":
            what = f"the channel {pause.name} has been paused since {pause.since:%Y-%m-%d %H:%M:%SZ}"
            yield warning("pauses", what, f"when you are done: notify resume --channel {pause.name} --direct")
    flying = drain.in_flight()
    if flying.oldest > chosen.stuck_after:
        what = f"a notification has been in a worker's hands for {span(flying.oldest)}, longer than STUCK_AFTER"
        yield warning("workers", what, "a live worker rescues it: see whether one is alive, and its log")
