"""The reasons why one pending notification is not being sent. Call within `connection()`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import NamedTuple

from db import obstacles, refused_domains
from db.client_view import VIEW
from db.database import rows
from db.obstacles import OF_CLIENTS, Obstacles
from db.pauses import Pause

COUNTED = 10_000  # notifications of the same client and priority among which earlier ones are counted
WAITS_FOR = "waits for "  # how `last_error` begins where a worker waits for a particular provider
ACTS = 10_000  # newest records of the audit log in which the begin of a pause is looked for


class Actor(NamedTuple):
    """The actor of an act in the audit log: see `audit.By`. `key`: the name of its key."""

    actor: str
    key_id: int | None
    key: str | None
    name: str | None


class Reason(NamedTuple):
    """A reason to wait.

    `kind`: paused or disabled (`name`: the kind and name of the pause; `by`: who began it), no-worker, provider-down
    (`name`: the provider; `detail`: its answer), domain-refused (the same, and the From domain), evidence (`name`: the
    provider that may have taken it; `until`: when it fails without evidence), daily-limit (`name`: the provider;
    `until`: when it is free again; `earlier`: the limit), scheduled, retry (`until`: the next attempt), throttled
    (`detail`: the answer, or the limit), provider (`detail`: what it waits for, because it may use no other), or queued
    (`earlier`: due notifications of the same client and priority that were accepted earlier, counted among COUNTED).
    """

    kind: str
    since: datetime | None = None
    until: datetime | None = None
    name: str = ""
    detail: str = ""
    by: Actor | None = None
    earlier: int = 0


class _Waits(NamedTuple):
    type: str
    sandbox: bool
    send_at: datetime | None
    next_attempt_at: datetime
    throttled_since: datetime | None
    evidence_until: datetime | None
    bound_provider: str | None
    last_error: str | None
    now: datetime
    earlier: int


def reasons(id: int, client_id: int, worker_timeout: float, configured: Collection[str]) -> list[Reason]:
    """Return the reasons why a notification of a client waits, the strongest first; none if it is not pending.

    See `live_stats` for the last two parameters.
    """
    found = rows(_WAITS, COUNTED, id, client_id)
    if not found:
        return []
    waits = _Waits(*found[0])
    known = obstacles.read(worker_timeout, configured, waits.now).for_client(client_id)
    return [*_held(waits, known), *_own(waits)]


def _held(waits: _Waits, known: Obstacles) -> Iterator[Reason]:
    for pause in known.pauses:
        if pause.kind in OF_CLIENTS or pause.name == waits.type:
            kind = "disabled" if pause.kind == "disabled" else "paused"
            yield Reason(kind, pause.since, name=f"{pause.kind} {pause.name}", by=_began(pause))
    if not known.workers or (known.served is not None and waits.type not in known.served):
        yield Reason("no-worker", known.last_seen, name=waits.type)
    # While one provider works, a notification waits for none of the others.
    if not (waits.sandbox or {waits.type, ""} & set(known.working)):
        for one in known.providers:
            if one.channel in {waits.type, ""}:
                yield Reason("provider-down", one.opened_at, name=one.name, detail=one.reason or "")
        for one in known.exhausted:
            if one.channel in {waits.type, ""}:
                yield Reason("daily-limit", until=one.exhausted_until, name=one.name, earlier=one.daily or 0)


def _own(waits: _Waits) -> Iterator[Reason]:
    if waits.evidence_until is not None:
        yield Reason("evidence", until=waits.evidence_until, name=waits.bound_provider or "")
        if waits.next_attempt_at >= waits.evidence_until:
            return
    if (pair := refused_domains.holding(waits.last_error or "")) is not None:
        yield Reason("domain-refused", pair.opened_at, name=pair.provider, detail=f"{pair.domain}: {pair.reason}")
    elif waits.throttled_since is not None:
        waits_for = (waits.last_error or "").startswith(WAITS_FOR)
        yield Reason("provider" if waits_for else "throttled", waits.throttled_since, detail=waits.last_error or "")
    if waits.next_attempt_at > waits.now:
        kind = "scheduled" if waits.send_at == waits.next_attempt_at else "retry"
        yield Reason(kind, until=waits.next_attempt_at)
    else:
        yield Reason("queued", waits.next_attempt_at, earlier=waits.earlier)


def _began(pause: Pause) -> Actor | None:
    """Return who began a pause: the act was recorded in the same transaction, and so at the same time."""
    concerns, values = ("client_id IS NULL", []) if pause.kind == "channel" else ("client_id = %s", [int(pause.name)])
    found = rows(
        f"""
        SELECT a.actor, a.key_id, k.name, a.name FROM (
            SELECT at, act, actor, key_id, name FROM audit WHERE {concerns}
            ORDER BY client_id DESC, id DESC LIMIT %s) AS a LEFT JOIN keys AS k ON k.id = a.key_id
        WHERE a.at = %s AND a.act IN ('pause.began', 'client.changed') LIMIT 1
        """,
        *values,
        *(ACTS, pause.since),
    )
    return Actor(*found[0]) if found else None


_WAITS = f"""
SELECT n.type, n.sandbox, n.send_at, n.next_attempt_at, n.throttled_since, n.evidence_until, n.bound_provider,
       n.last_error, now(),
       (SELECT count(*) FROM (
            SELECT id, next_attempt_at FROM {VIEW} AS o
            WHERE o.status = 'pending' AND o.lane = n.lane AND o.client_id = n.client_id
            ORDER BY o.dispatch_after LIMIT %s) AS o
        WHERE o.id < n.id AND o.next_attempt_at <= now())
FROM {VIEW} AS n WHERE n.id = %s AND n.client_id = %s AND n.status = 'pending'
"""
