"""After a commit: count the stored notifications, and enqueue their wake-up messages."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence, Set

from actors.queue.wake_up import WakeUp, WakeUpQueue
from db.clock import clock
from db.drafts import Group
from db.idempotency import Stored
from db.records import Accepted, Draft
from runtime import metrics


def enqueue(wake_ups: WakeUpQueue, accepted: Sequence[Accepted], drafts: Sequence[Draft], left: Set[Group]) -> None:
    """Enqueue the notifications that are due now, except the groups that are `left` to the relay. Never raises."""
    _count(accepted, drafts)
    at = accepted[0].created_at.timestamp()
    clock.set(at)
    groups: defaultdict[Group, list[tuple[int, str | None]]] = defaultdict(list)
    for draft, stored in zip(drafts, accepted, strict=True):
        if stored.failure_reason is None and not draft.waits(stored.created_at):
            groups[draft.queue, draft.client_id].append((stored.id, draft.trace))
    for (queue, client), due in groups.items():
        if (queue, client) not in left:
            wake_ups.enqueue(WakeUp([id for id, _ in due], at, queue, client, [trace for _, trace in due if trace]))


def enqueue_stored(wake_ups: WakeUpQueue, outcomes: Sequence[object], left: Set[Group]) -> None:
    """Enqueue the notifications of outcomes that were stored, not replayed."""
    stored = [o for o in outcomes if isinstance(o, Stored) and not o.replayed]
    if stored:
        enqueue(wake_ups, [o.accepted for o in stored], [o.draft for o in stored], left)


def _count(accepted: Sequence[Accepted], drafts: Sequence[Draft]) -> None:
    """Count the notifications, with one increment for each combination of labels."""
    results = ("pending" if stored.failure_reason is None else "suppressed" for stored in accepted)
    kinds = Counter(
        (draft.priority, "sandbox" if draft.sandbox else draft.type, result)
        for draft, result in zip(drafts, results, strict=True)
    )
    for kind, number in kinds.items():
        metrics.accepted[kind].inc(number)
