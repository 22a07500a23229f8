"""Trace spans of a worker: one for each attempt, and one for each of its steps.

The span of an attempt is a child of the span that accepted the notification, also for retries and after a rescue. A
notification without a trace context starts no trace. The blocks may await: a span is current in its own task only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from urllib.parse import urlsplit

from opentelemetry.trace import Span, SpanKind

from actors.channels.email.answers import Reply
from actors.queue.priorities import PRIORITIES
from db import traces
from db.database import connection
from db.records import Claimed, Settlement
from runtime import tracing
from settings.smtp_url import SmtpServer

_PORTS = {"http": 80, "https": 443}
# Spans of attempts that are not recorded yet, by id of the notification and claim.
_unrecorded: dict[tuple[int, int], Span] = {}


def attempt(notification: Claimed) -> AbstractContextManager[Span]:
    """Return the span of an attempt. It ends with its block if that raises, otherwise in `recording` after `made`."""
    if notification.trace is None or not tracing.is_on():
        return tracing.NO_SPAN
    queue = PRIORITIES[notification.queue].queue
    about = tracing.messages("process", queue)
    about |= {
        "messaging.message.id": str(notification.id),
        "notification.type": notification.type,
        "notification.sandbox": notification.sandbox,
        "notification.retry_count": notification.retry_count,
        # If it exceeds the retry count by more than one, a claim was lost or handed back.
        "notification.claim": notification.claim,
    }
    span = tracing.begin(f"process {queue}", SpanKind.CONSUMER, about, tracing.carrying(notification.trace))
    return tracing.within(span, ends=False)


def made(span: Span, settlement: Settlement) -> None:
    """Describe the attempt, and keep its span open until the settlement is recorded."""
    if not span.is_recording():
        return
    outcome, phase, code = settlement.attempt.outcome, settlement.attempt.phase, settlement.attempt.reply_code
    span.set_attribute("notification.outcome", outcome)
    if phase:
        span.set_attribute("notification.phase", phase)
    if code:
        span.set_attribute("notification.reply_code", code)
    if outcome != "sent":
        tracing.fail(span, outcome)
    _unrecorded[settlement.id, settlement.claim] = span


def recording(settlements: Sequence[Settlement]) -> AbstractContextManager[object]:
    """Return the span of the statement that records settlements. The spans of their attempts end with it."""
    spans = [_unrecorded.pop((s.id, s.claim), None) for s in settlements] if _unrecorded else []
    made = [span for span in spans if span is not None]
    return _recording(made, len(settlements)) if made else tracing.NO_SPAN


@contextmanager
def _recording(spans: Sequence[Span], count: int) -> Iterator[None]:
    about = traces.statement("INSERT", "attempts", count)
    try:
        with tracing.shared("INSERT attempts", SpanKind.CLIENT, about, map(tracing.carried, spans)):
            yield
    finally:
        for span in spans:
            span.end()


def claimed(lists: Sequence[Sequence[Claimed]], began: int) -> list[list[Claimed]]:
    """Create the span of the claiming statement, and give each callback the trace of its notification.

    Call it after the `connection()` of the statement. `began`: `time.time_ns()` before the statement.
    """
    if not tracing.is_on():
        return [list(some) for some in lists]
    found = _of_subjects([one.id for some in lists for one in some if one.callback_id is not None])
    traced = [[one._replace(trace=found.get(one.id, one.trace)) for one in some] for some in lists]
    carried = [one.trace for some in traced for one in some]
    about = traces.statement("UPDATE", "notifications", len(carried))
    tracing.made_for(carried, "UPDATE notifications", SpanKind.CLIENT, about, began)
    return traced


def smtp(phase: str, server: SmtpServer) -> AbstractContextManager[Span]:
    """Return the span of a phase of connecting to the mail server."""
    if not tracing.is_on():
        return tracing.NO_SPAN
    about: dict[str, str | int] = {
        "server.address": server.host,
        "server.port": server.port,
        "network.protocol.name": "smtp",
    }
    return tracing.inner(f"SMTP {phase}", SpanKind.CLIENT, about)


async def phase(name: str, server: SmtpServer, reply: Awaitable[Reply], size: int = 0) -> Reply:
    """Await the reply of a phase of a mail, within the span of that phase. `size`: octets of the mail's content."""
    if not tracing.is_on():
        return await reply
    with smtp(name, server) as span:
        if size:
            span.set_attribute("messaging.message.body.size", size)
        answer = await reply
        _answered(span, "smtp.reply_code", answer.code)
    return answer


def post(url: str) -> AbstractContextManager[Span]:
    """Return the span of a callback's request; `tracing.headers` passes its context on.

    The span contains only the host and port of the URL, because the rest may be a secret.
    """
    parts = urlsplit(url)
    about: dict[str, str | int] = {
        "http.request.method": "POST",
        "server.address": parts.hostname or "",
        "server.port": parts.port or _PORTS.get(parts.scheme, 0),
    }
    return tracing.inner("POST", SpanKind.CLIENT, about)


def responded(span: Span, status: int) -> None:
    """Add the status of the response."""
    _answered(span, "http.response.status_code", status)


def _answered(span: Span, attribute: str, code: int) -> None:
    if span.is_recording():
        span.set_attribute(attribute, code)
        if code >= 400:
            tracing.fail(span, str(code))


def _of_subjects(callbacks: Sequence[int]) -> dict[int, str]:
    """Return the trace contexts of the callbacks' notifications: callbacks are inserted by SQL, without a context."""
    if not callbacks:
        return {}
    try:
        with connection():
            return traces.of_subjects(callbacks)
    except Exception:  # noqa: BLE001 - the callbacks are claimed and must be sent without a trace, too
        return {}
