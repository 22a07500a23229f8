"""Spans of storing notifications, within the span of the request (see server_span.py)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from opentelemetry import context as current
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind

from actors.queue.priorities import PRIORITIES
from db import traces
from db.batches import Batch
from db.idempotency import Post
from db.records import Draft
from runtime import tracing

# In the context of a request that came with a trace context, which is passed on even if it is not recorded.
CAME = "notification-system.came-with-a-context"


def creation(priority: str, count: int = 1) -> AbstractContextManager[Span]:
    """Return the span of accepting `count` notifications, in which their trace context begins."""
    if not tracing.is_on():
        return tracing.NO_SPAN
    queue = PRIORITIES[priority].queue
    return tracing.inner(f"create {queue}", SpanKind.PRODUCER, tracing.messages("create", queue, count))


def insertion(drafts: Sequence[Draft]) -> AbstractContextManager[None]:
    """Return the span of the statement that stores these drafts."""
    about = traces.statement("INSERT", "notifications", len(drafts))
    return tracing.shared("INSERT notifications", SpanKind.CLIENT, about, [draft.trace for draft in drafts])


def carrying(draft: Draft, span: Span) -> Draft:
    """Return the draft with the trace context of its `creation`, if that is recorded or the client has sent one."""
    return draft._replace(trace=tracing.carried(span) or None) if _is_carried(span) else draft


def carrying_all(batch: Batch, span: Span) -> Batch:
    """Return a batch whose drafts have the trace context. See `carrying`."""
    if not _is_carried(span):
        return batch
    items = [i._replace(draft=carrying(i.draft, span)) if isinstance(i, Post) else i for i in batch.items]
    return batch._replace(items=items)


def identify(span: Span, id: int) -> None:
    """Add the id of the stored notification."""
    if span.is_recording():
        span.set_attribute("messaging.message.id", str(id))


def _is_carried(span: Span) -> bool:
    return span is not INVALID_SPAN and (span.is_recording() or bool(current.get_value(CAME)))
