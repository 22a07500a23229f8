"""The spans that a worker makes of its attempts: current in their own tasks, and open until the outcome is recorded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from unittest import mock
from uuid import uuid4

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import INVALID_SPAN, Span, get_current_span

from actors import spans
from actors.channels.email.answers import Reply
from db.models import CALLBACK
from db.records import Attempt, Claimed, Settlement
from runtime import tracing
from settings import read
from tests.accounts import mail_server
from tests.spans import Spans, child, recorded, trace_of

SERVER = mail_server(read({"SMTP_URL": "smtp://mail.example:2525"}))
PRIVATE = "jane.private@example.com"


@pytest.fixture
def made() -> Iterator[Spans]:
    with recorded() as made:
        yield made


def trace(number: int, flags: str = "01") -> str:
    return f"00-{number:032x}-{number:016x}-{flags}"


def notification(id: int, carried: str | None = None, **fields: Any) -> Claimed:
    plain = Claimed(id, 1, "email", PRIVATE, PRIVATE, PRIVATE, None, "resend", 0, datetime.now(UTC), trace=carried)
    return plain._replace(**fields)


def settlement(of: Claimed, outcome: str = "sent", code: int | None = 250) -> Settlement:
    attempt = Attempt(outcome, uuid4(), "default", 0.0, 1.0, "content", code, text=PRIVATE)
    return Settlement(of.id, of.claim, "sent" if outcome == "sent" else "pending", attempt)


def told(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


async def said(code: int) -> Reply:
    await asyncio.sleep(0)
    return Reply(code, None, PRIVATE)


async def attempted(of: Claimed, outcome: str = "sent", code: int | None = 250) -> Settlement:
    """Make an attempt with one phase, and let other tasks run in the middle of both."""
    with spans.attempt(of) as span:
        await asyncio.sleep(0)
        await spans.phase("RCPT", SERVER, said(code or 250))
        result = settlement(of, outcome, code)
        spans.made(span, result)
    return result


def test_concurrent_attempts_stay_in_their_own_traces(made: Spans) -> None:
    async def attempts() -> list[Settlement]:
        return await asyncio.gather(*(attempted(notification(id, trace(id))) for id in (1, 2, 3)))

    with spans.recording(asyncio.run(attempts())):
        assert made.names == ["SMTP RCPT"] * 3

    processed = made.named("process notifications")
    assert [trace_of(span) for span in processed] == [f"{id:032x}" for id in (1, 2, 3)]
    assert [[child(of, rcpt) for of in processed] for rcpt in made.named("SMTP RCPT")] == [
        [True, False, False],
        [False, True, False],
        [False, False, True],
    ]


def test_an_attempt_lasts_until_it_is_recorded_by_one_statement_for_all(made: Spans) -> None:
    results = [asyncio.run(attempted(notification(id, trace(id), claim=id))) for id in (1, 2)]

    with spans.recording([*results, settlement(notification(3))]):
        pass

    statement = made.one("INSERT attempts")
    first, second = made.named("process notifications")
    assert child(first, statement)
    assert [link.context.trace_id for link in statement.links] == [2]
    assert told(statement)["db.operation.batch.size"] == 3
    assert (first.end_time or 0) >= (statement.end_time or 0)
    assert [told(span)["notification.claim"] for span in (first, second)] == [1, 2]


def test_the_span_of_an_attempt_has_codes_and_no_reply_text(made: Spans) -> None:
    with spans.recording([asyncio.run(attempted(notification(1, trace(1), retry_count=2), "deferred", 451))]):
        pass

    attempt, rcpt = made.one("process notifications"), made.one("SMTP RCPT")
    assert told(attempt) == {
        "messaging.system": "dramatiq",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "notifications",
        "messaging.message.id": "1",
        "notification.type": "email",
        "notification.sandbox": False,
        "notification.retry_count": 2,
        "notification.claim": 1,
        "notification.outcome": "deferred",
        "notification.phase": "content",
        "notification.reply_code": 451,
        "error.type": "deferred",
    }
    assert told(rcpt) == {
        "server.address": "mail.example",
        "server.port": 2525,
        "network.protocol.name": "smtp",
        "smtp.reply_code": 451,
        "error.type": "451",
    }
    assert not attempt.status.is_ok
    assert PRIVATE not in "".join(span.to_json() for span in made.all)


def test_an_attempt_that_is_cancelled_ends_with_all_within_it(made: Spans) -> None:
    async def cancelled() -> None:
        attempt = asyncio.ensure_future(attempted(notification(1, trace(1))))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt

    asyncio.run(cancelled())

    rcpt, attempt = made.all
    assert [told(span)["error.type"] for span in (rcpt, attempt)] == ["CancelledError"] * 2
    assert attempt.name == "process notifications"


def test_the_span_of_a_failed_attempt_has_only_the_type_of_the_error(made: Spans) -> None:
    with pytest.raises(ValueError, match="private"), spans.attempt(notification(1, trace(1))):
        raise ValueError(PRIVATE)

    broken = made.one("process notifications")
    assert told(broken)["error.type"] == "ValueError"
    assert (broken.events, broken.status.description) == ((), None)


def test_a_statement_that_fails_ends_the_attempts_that_it_was_to_record(made: Spans) -> None:
    result = asyncio.run(attempted(notification(1, trace(1))))

    with pytest.raises(ValueError, match="private"), spans.recording([result]):
        raise ValueError(PRIVATE)
    with spans.recording([result]):  # Tried again.
        pass

    assert told(made.one("INSERT attempts"))["error.type"] == "ValueError"
    assert made.one("process notifications").status.is_ok
    assert made.names == ["SMTP RCPT", "INSERT attempts", "process notifications"]


def test_a_claim_is_one_span_for_all_that_it_has_claimed(made: Spans) -> None:
    began = time.time_ns()
    lists = [
        [notification(1, trace(1)), notification(2)],
        [],
        [notification(3, trace(3, "00")), notification(4, trace(4))],
    ]

    assert spans.claimed(lists, began) == lists

    claim = made.one("UPDATE notifications")
    assert claim.start_time == began
    assert claim.parent is not None
    assert claim.parent.trace_id == 1
    assert [link.context.trace_id for link in claim.links] == [4]
    assert told(claim)["db.operation.batch.size"] == 4


def test_a_claimed_callback_belongs_to_the_trace_of_its_notification(made: Spans) -> None:
    callback = notification(7, type=CALLBACK, queue=CALLBACK, callback_id=1)
    found = {7: trace(5)}
    with mock.patch("actors.spans.traces.of_subjects", return_value=found), mock.patch("actors.spans.connection"):
        [[claimed]] = spans.claimed([[callback]], time.time_ns())

    assert claimed.trace == trace(5)
    assert trace_of(made.one("UPDATE notifications")) == f"{5:032x}"


def test_a_callback_with_a_malformed_trace_context_is_still_claimed(made: Spans) -> None:
    callback = notification(7, type=CALLBACK, queue=CALLBACK, callback_id=1)
    with mock.patch("actors.spans.traces.of_subjects", side_effect=ValueError), mock.patch("actors.spans.connection"):
        assert spans.claimed([[callback]], time.time_ns()) == [[callback]]
    assert made.all == ()


def test_a_callback_sends_its_trace_context_and_records_only_the_host(made: Spans) -> None:
    secret = "https://user:secret@hooks.example/secret?secret=1#secret"
    with spans.attempt(notification(7, trace(5), type=CALLBACK, queue=CALLBACK)) as attempt, spans.post(secret) as span:
        headers = tracing.headers(span)
        spans.responded(span, 503)
    attempt.end()

    sent = made.one("POST")
    assert child(made.one("process notifications.callback"), sent)
    assert headers == {"traceparent": f"00-{5:032x}-{sent.get_span_context().span_id:016x}-01"}  # type: ignore[union-attr]
    assert told(sent) == {
        "http.request.method": "POST",
        "server.address": "hooks.example",
        "server.port": 443,
        "http.response.status_code": 503,
        "error.type": "503",
    }


def current_within(of: Claimed) -> tuple[Span, Span, Span, dict[str, str]]:
    with spans.attempt(of) as attempt, spans.smtp("EHLO", SERVER) as phase, spans.post("http://h/") as post:
        asyncio.run(spans.phase("MAIL", SERVER, said(550)))
        spans.responded(post, 500)
        spans.made(attempt, settlement(of))
        current = get_current_span()
        headers = tracing.headers(post)
    assert attempt is phase is post is current is INVALID_SPAN
    with spans.recording([settlement(of)]):
        assert spans.claimed([[of]], time.time_ns()) == [[of]]
    return attempt, phase, post, headers


def test_a_message_without_trace_context_begins_no_trace(made: Spans) -> None:
    assert current_within(notification(1))[-1] == {}
    assert made.all == ()


def test_disabled_tracing_ignores_a_trace_context_that_is_still_carried() -> None:
    assert not tracing.is_on()
    assert current_within(notification(1, trace(1)))[-1] == {}
    assert current_within(notification(7, trace(1), type=CALLBACK, queue=CALLBACK, callback_id=1))[-1] == {}
