"""The spans of what a request stores, within the request's own: see server_span.py."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from opentelemetry import context as current
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind

from actors.queue.priorities import LANES
from db import traces
from db.batches import Batch
from db.idempotency import Post
from db.records import Draft
from runtime import tracing

# In the context of a request: it came with a context of its own, which is carried on even where it is not recorded.
CAME = "notification-system.came-with-a-context"


def creation(lane: str, count: int = 1) -> AbstractContextManager[Span]:
    """Return the span of accepting so many notifications, within which their context begins."""
    if not tracing.is_on():
        return tracing.NO_SPAN
    queue = LANES[lane].queue
    return tracing.inner(f"create {queue}", SpanKind.PRODUCER, tracing.messages("create", queue, count))


def insertion(drafts: Sequence[Draft]) -> AbstractContextManager[None]:
    """Return the span of the statement that stores these."""
    about = traces.statement("INSERT", "notifications", len(drafts))
    return tracing.shared("INSERT notifications", SpanKind.CLIENT, about, [draft.trace for draft in drafts])


def carrying(draft: Draft, span: Span) -> Draft:
    """Return the draft with the context of its `creation`: where that is recorded, or a client has sent one."""
    return draft._replace(trace=tracing.carried(span) or None) if _is_carried(span) else draft


def carrying_all(batch: Batch, span: Span) -> Batch:
    """As `carrying`, for all of a batch."""
    if not _is_carried(span):
        return batch
    items = [i._replace(draft=carrying(i.draft, span)) if isinstance(i, Post) else i for i in batch.items]
    return batch._replace(items=items)


def identify(span: Span, id: int) -> None:
    """Add the id of what was stored."""
    if span.is_recording():
        span.set_attribute("messaging.message.id", str(id))


def _is_carried(span: Span) -> bool:
    return span is not INVALID_SPAN and (span.is_recording() or bool(current.get_value(CAME)))
