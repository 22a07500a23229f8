"""Probe of the work: workers, backlog, breakers, pauses and keys. Needs an open `connection()`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from actors.channels import registry
from actors.queue.priorities import PRIORITIES
from cli.doctor import provider_access, reports
from cli.doctor.findings import Finding, ok, problem, warning
from cli.terminal.moments import readable, span
from db import callbacks, diagnosis, drain, obstacles, pauses
from db.live_stats import LiveStats, Worker, live_stats
from db.workers import CAUGHT
from settings import Settings

ENDPOINTS = 5  # failing callback endpoints to name
LATE, FAR_TOO_LATE = 60.0, 600.0  # seconds that a due notification has waited: a warning, a problem


def findings(chosen: Settings) -> Iterator[Finding]:
    """Yield the findings. The schema must be that of this version."""
    now = live_stats(chosen.delivery.worker_timeout, chosen.provider_names)
    yield _workers(now)
    yield from unrecorded(now.workers)
    yield from _differing(now)
    yield _waiting(now)
    yield from _unserved(now)
    yield from _breakers(now)
    yield from provider_access.findings(now.workers)
    yield from _refused_domains(now)
    yield from _daily_limits(now)
    yield from _callbacks()
    yield from _mail(now, chosen)
    yield from _shared_connections(now, chosen)
    yield from reports.findings(chosen)
    yield from _held(chosen)
    if chosen.http.auth == "off" and not chosen.http.local:
        what = "AUTH is off, and the API listens on addresses that other machines can reach"
        yield problem("keys", what, "set AUTH=required, or BIND to a loopback address")
    elif chosen.http.auth != "off" and not diagnosis.keyed():
        create = "create one: notify keys create --name my-app --scope send --scope read"
        yield warning("keys", "there is no valid API key, so that nobody can use the API", create)


def _workers(now: LiveStats) -> Finding:
    alive = [worker for worker in now.workers if worker.alive]
    waits = any(priority.waiting for priority in now.priorities.values())
    if alive:
        threads = sum(worker.threads for worker in alive)
        silent = len(now.workers) - len(alive)
        return ok("workers", f"{len(alive)} alive, {threads} threads{f'; {silent} silent' if silent else ''}")
    start = "start some: dramatiq actors -p 2 -t 8"
    if waits:
        return problem("workers", "none is alive, and notifications are pending", start)
    return warning("workers", "none is alive: accepted notifications will wait", start)


def _unserved(now: LiveStats) -> Iterator[Finding]:
    """Yield a finding for each channel with pending notifications that no live worker serves."""
    served = obstacles.served(now.workers)
    if not served:  # None is alive, or they are of an older version.
        return
    waiting: Counter[str] = Counter()
    for queue, stats in now.priorities.items():
        channel = PRIORITIES[queue].channel if queue in PRIORITIES else queue.rpartition(".")[0]
        waiting[channel] += stats.waiting
    for channel, count in waiting.items():
        if channel not in served:
            what = f"{count:,} notifications of the type {channel} are pending, which no live worker serves"
            yield problem("workers", what, _served_by(channel))


def _served_by(channel: str) -> str:
    """Return what makes workers serve a channel."""
    known = registry.channels().get(channel)
    if known is None:
        return f"install the package of the channel {channel} for the workers, and restart them"
    urls = " or ".join(f"{scheme}://" for scheme in known.accounts)
    start = "start workers that consume its queues: dramatiq actors without -Q serves all"
    return f"give the workers an account, PROVIDER_<NAME>={urls}, and {start}" if urls else start


def _waiting(now: LiveStats) -> Finding:
    priority, oldest = max(
        ((name, priority.oldest_due) for name, priority in now.priorities.items()),
        key=lambda one: one[1],
        default=("", 0.0),
    )
    if oldest <= LATE:
        return ok("backlog", "no due notification has waited for long")
    grade = problem if oldest > FAR_TOO_LATE else warning
    fix = "see `notify top`: start more workers, or find out what holds them up"
    return grade("backlog", f"the oldest due notification of the queue {priority} has waited for {span(oldest)}", fix)


def unrecorded(workers: Iterable[Worker]) -> Iterator[Finding]:
    """Yield a finding on outcomes that live workers keep in memory because the database refuses to record them."""
    keeping = [worker for worker in workers if worker.alive and worker.unrecorded]
    if not keeping:
        return
    count = sum(worker.unrecorded for worker in keeping)
    what = f"{count} outcomes cannot be recorded, and their workers send nothing new: {keeping[0].trouble}"
    fix = "fix what PostgreSQL reports here; do not restart workers, which record the outcomes by themselves afterwards"
    yield problem("workers", what, fix)


def _differing(now: LiveStats) -> Iterator[Finding]:
    """Yield a finding on each setting that should be the same in all workers and is not."""
    values: defaultdict[str, set[str]] = defaultdict(set)
    for worker in now.workers:
        for name, value in worker.settings.items() if worker.alive else ():
            values[name].add(f"{value}")
    for name, different in sorted(values.items()):
        if len(different) > 1:
            what = f"live workers run with different {name}: {', '.join(sorted(different))}"
            yield warning("workers", what, "start all workers with the same settings")


def _callbacks() -> Iterator[Finding]:
    """Yield a finding on each callback endpoint that keeps failing."""
    for endpoint in callbacks.failing(ENDPOINTS):
        number = f"{endpoint.failures}{' or more' if endpoint.failures >= callbacks.LATELY else ''}"
        what = (
            f"endpoint {endpoint.id} of client {endpoint.client} keeps failing: {number} callbacks since"
            f" {readable(endpoint.since)}, the last one with: {endpoint.error or 'no answer'}"
        )
        fix = f"have its owner fix or disable it: notify callbacks deliveries {endpoint.id}"
        yield warning("callbacks", what, fix)


def _mail(now: LiveStats, chosen: Settings) -> Iterator[Finding]:
    """Yield a finding if the live workers send through other providers than this command knows."""
    telling = [worker for worker in now.workers if worker.alive and worker.provider]
    used = ", ".join(sorted({f"{worker.provider}" for worker in telling}))
    names = ", ".join(chosen.provider_names)
    if not telling or {*chosen.provider_names} & {*used.split(", ")}:
        return
    if all(worker.settings.get(CAUGHT) == "true" for worker in telling):
        what = "`notify up` catches every mail: no mail is delivered"
        if names:
            yield warning("mail", what, "start it with SMTP_URL to have mail delivered")
        else:
            yield ok("mail", what)
    elif names:
        what = f"live workers send through {used}, but SMTP_URL of this command names {names}"
        yield warning(
            "mail", what, "give this command the SMTP_URL of the workers, or restart the workers with this one"
        )
    else:
        what = f"live workers send through {used}, which was not checked"
        yield warning("mail", what, "give this command the SMTP_URL of the workers")


def _shared_connections(now: LiveStats, chosen: Settings) -> Iterator[Finding]:
    """Yield a finding for each provider that has fewer connections than there are worker processes to share them."""
    for provider in chosen.providers if chosen.provider_names else ():
        used = [(worker.provider or "").split(", ") for worker in now.workers if worker.alive]
        sharing = sum(provider.name in names for names in used)
        if sharing > provider.connections:
            what = f"{sharing} worker processes share {provider.connections} connections, so that some of them wait"
            variable = provider.account.variable
            yield warning("mail", what, f"set connections={sharing} or more in {variable}, or start fewer processes")


def _breakers(now: LiveStats) -> Iterator[Finding]:
    for provider in now.providers:
        if provider.opened_at is not None:
            what = f"the breaker of {provider.name} is open since {readable(provider.opened_at)}: {provider.reason}"
            yield problem(
                "breaker",
                what,
                "fix the provider, or its account in SMTP_URL or PROVIDER_NAME; sending then continues by itself",
            )


def _refused_domains(now: LiveStats) -> Iterator[Finding]:
    for one in now.refused_domains:
        what = f"{one.provider} refuses mail From {one.domain}: {one.reason}"
        yield problem("breaker", what, "check SPF, DKIM and DMARC of the domain; its mails then continue by themselves")


def _daily_limits(now: LiveStats) -> Iterator[Finding]:
    for one in now.providers:
        if one.exhausted_until is not None:
            limit = f" ({one.daily:,} in 24 hours)" if one.daily else ""
            what = f"daily limit of provider {one.name} reached{limit}, free again at {readable(one.exhausted_until)}"
            fix = "wait, add another provider, or raise `daily` in its URL and restart the workers"
            yield warning("providers", what, fix)


def _held(chosen: Settings) -> Iterator[Finding]:
    for pause in pauses.all_in_force():
        if pause.kind == "channel":
            since = f" since {readable(pause.since)}" if pause.since else ""
            what = f"the channel {pause.name} is paused{since}"
            yield warning("pauses", what, f"to send again: notify resume --channel {pause.name} --direct")
    flying = drain.in_flight()
    if flying.oldest > chosen.delivery.stuck_after:
        what = f"a notification has been claimed for {span(flying.oldest)}, longer than STUCK_AFTER"
        yield warning("workers", what, "a live worker rescues it: check that one is alive, and its log")
