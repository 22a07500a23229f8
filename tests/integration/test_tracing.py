"""One trace from the POST to the callback: the parents of spans, the stored context, and no private data."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock
from uuid import uuid4

import pytest
import redis
from falcon import testing
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased

from actors.delivery import Again
from actors.queue.priorities import PRIORITIES
from api.app import create_app
from api.store import NotificationStore
from db import callbacks, lifecycle
from db.callbacks import New
from db.database import database, rows
from settings import Settings
from tests.client import NOTIFICATIONS
from tests.environment import configured
from tests.hooks import Hooks, status
from tests.integration.calling import SECRET
from tests.integration.delivering import Process
from tests.integration.rows import GRACE, draft
from tests.smtp import Reply, SmtpServer
from tests.spans import Spans, child, id_of, recorded, trace_of

pytestmark = pytest.mark.long

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ASKED = f"00-{TRACE}-{SPAN}-01"
PRIVATE = {"recipient": "jane.private@example.com", "subject": "private-subject", "message": "private-message"}

Post = Callable[..., Any]


@pytest.fixture
def spans() -> Iterator[Spans]:
    with recorded() as spans:
        yield spans


@pytest.fixture
def on(bound: Settings, store: Settings, redis_url: str) -> Iterator[Settings]:
    with configured(tracing="on", auth="off", database_url=bound.database.url) as settings:
        yield settings


@pytest.fixture
def post(on: Settings, spans: Spans) -> Post:
    """POSTs to an API in this process; returns the answer."""

    async def exchange(document: Any, path: str, headers: dict[str, str]) -> Any:
        with mock.patch("runtime.tracing.start"), mock.patch("runtime.tracing.stop"):
            async with testing.ASGIConductor(create_app()) as api:
                return await api.simulate_post(path, json=document, headers=headers)

    def post(document: Any = None, path: str = NOTIFICATIONS, status: int = 201, **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = asyncio.run(exchange(document or {"type": "email", **PRIVATE}, path, named))
        database.connect(reuse_if_open=True)  # The application has pointed it at the same database anew.
        assert answer.status_code == status, answer.text
        return answer.json

    return post


@pytest.fixture
def worker(on: Settings, smtp_server: SmtpServer) -> Iterator[Process]:
    values = {"callback_allowed_networks": "127.0.0.0/8", "callback_rest": 0, "database_url": on.database.url}
    with configured(smtp_url=smtp_server.url, mail_from="noreply@example.com", **values) as current:
        process = Process(current, uuid4())
    yield process
    process.close()


def test_a_request_continues_in_the_trace_that_it_came_with(post: Post, spans: Spans) -> None:
    post(traceparent=ASKED, tracestate="vendor=a,other=b")

    server, create = spans.one("POST /api/notifications"), spans.one("create notifications")
    assert trace_of(server) == TRACE
    assert server.parent is not None
    assert f"{server.parent.span_id:016x}" == SPAN
    assert server.attributes == {
        "http.request.method": "POST",
        "url.scheme": "http",
        "http.route": "/api/notifications",
        "http.response.status_code": 201,
    }
    assert child(server, create)
    assert child(create, spans.one("INSERT notifications"))
    assert child(create, spans.one("send notifications"))


def test_the_row_of_a_notification_stores_the_trace_context(post: Post, spans: Spans) -> None:
    id = post(traceparent=ASKED, tracestate="vendor=a,other=b")["id"]

    create = spans.one("create notifications")
    assert create.attributes is not None
    assert create.attributes["messaging.message.id"] == str(id)
    [(carried,)] = rows("SELECT trace FROM notifications WHERE id = %s", id)
    assert carried == f"00-{TRACE}-{id_of(create):016x}-01 vendor=a,other=b"


def test_an_attempt_is_a_child_of_its_request_with_a_span_for_every_phase(
    post: Post, worker: Process, spans: Spans
) -> None:
    id = post()["id"]
    worker.deliver([id])

    create, attempt = spans.one("create notifications"), spans.one("process notifications")
    assert child(create, attempt)
    assert child(create, spans.one("UPDATE notifications"))
    assert spans.children(attempt) == [
        *("SMTP connect", "SMTP EHLO", "SMTP MAIL", "SMTP RCPT", "SMTP DATA", "SMTP content", "INSERT attempts"),
    ]
    assert attempt.attributes is not None
    assert attempt.attributes["notification.outcome"] == "sent"
    assert attempt.attributes["messaging.message.id"] == str(id)
    assert {trace_of(span) for span in spans.all} == {trace_of(create)}


def test_each_attempt_of_a_retried_notification_has_the_same_parent(
    post: Post, worker: Process, spans: Spans, smtp_server: SmtpServer
) -> None:
    smtp_server.on("rcpt", Reply(451, f"<{PRIVATE['recipient']}> later"))
    id = post()["id"]
    with pytest.raises(Again):
        worker.deliver([id])
    rows("UPDATE notifications SET next_attempt_at = now() WHERE id = %s", id)
    worker.deliver([id])

    create = spans.one("create notifications")
    attempts = spans.named("process notifications")
    told = [dict(attempt.attributes or {}) for attempt in attempts]
    assert [child(create, attempt) for attempt in attempts] == [True, True]
    assert [(t["notification.retry_count"], t["notification.outcome"]) for t in told] == [(0, "deferred"), (1, "sent")]
    assert told[0]["error.type"] == "deferred"
    refused, taken = spans.named("SMTP RCPT")
    assert dict(refused.attributes or {})["smtp.reply_code"] == 451
    assert (refused.status.is_ok, taken.status.is_ok) == (False, True)


def test_a_callback_is_in_the_trace_of_its_notification_and_passes_it_on(
    post: Post, worker: Process, spans: Spans
) -> None:
    with Hooks() as hooks:
        assert callbacks.create(New(1, hooks.url, "", ["sent"], SECRET), 10)
        id = post(traceparent=ASKED, tracestate="vendor=a")["id"]
        worker.deliver([id])
        [(callback,)] = rows("SELECT id FROM notifications WHERE subject_id = %s", id)
        hooks.answer = status(500)
        with pytest.raises(Again):
            worker.deliver([callback], PRIORITIES["callback"])

    [request] = hooks.posts
    sent = spans.one("POST")
    assert child(spans.one("process notifications.callback"), sent)
    assert trace_of(sent) == TRACE
    assert request.headers["traceparent"] == f"00-{TRACE}-{id_of(sent):016x}-01"
    assert request.headers["tracestate"] == "vendor=a"
    assert sent.attributes == {
        "http.request.method": "POST",
        "server.address": "127.0.0.1",
        "server.port": hooks.port,
        "http.response.status_code": 500,
        "error.type": "500",
    }


def test_a_batch_and_a_post_with_its_replay_are_one_trace_each(post: Post, worker: Process, spans: Spans) -> None:
    item = {"type": "email", **PRIVATE}
    items = post({"items": [item, item]}, f"{NOTIFICATIONS}/batch", traceparent=ASKED)["items"]
    worker.deliver([item["id"] for item in items])

    create = spans.one("create notifications")
    assert dict(create.attributes or {})["messaging.batch.message_count"] == 2
    assert [child(create, attempt) for attempt in spans.named("process notifications")] == [True, True]
    first, again = (post(idempotency_key="k")["id"] for _ in range(2))
    assert first == again
    assert len({trace_of(s) for s in spans.named("INSERT notifications")}) == 3


def test_a_statement_for_several_requests_is_one_span_with_links_to_the_others(on: Settings, spans: Spans) -> None:
    traces = [f"00-{n:032x}-{n:016x}-01" for n in (1, 2, 3)] + [f"00-{4:032x}-{4:016x}-00", None]
    notifications = NotificationStore(on)
    notifications._accept([draft()._replace(trace=trace) for trace in traces])

    insert = spans.one("INSERT notifications")
    assert insert.parent is not None
    assert insert.parent.trace_id == 1
    assert [link.context.trace_id for link in insert.links] == [2, 3]
    assert dict(insert.attributes or {})["db.operation.batch.size"] == 5
    wake_up = spans.one("send notifications")
    assert [link.context.trace_id for link in wake_up.links] == [2, 3]
    notifications.close()


def test_claims_and_settlements_of_several_notifications_are_linked(
    on: Settings, worker: Process, spans: Spans
) -> None:
    ids = [lifecycle.accept([draft()._replace(trace=f"00-{n:032x}-{n:016x}-01")], GRACE)[0].id for n in (1, 2)]
    worker.deliver(ids)

    claim = spans.one("UPDATE notifications")
    assert [link.context.trace_id for link in claim.links] == [2]
    assert {trace_of(span) for span in spans.named("process notifications")} == {f"{n:032x}" for n in (1, 2)}


def test_trace_context_is_stored_without_a_recorder_only_if_the_client_sent_one(post: Post, worker: Process) -> None:
    with recorded(ParentBased(ALWAYS_OFF)) as spans:
        asked = post(traceparent=f"00-{TRACE}-{SPAN}-00")["id"]
        unasked = post()["id"]
        worker.deliver([asked, unasked])

    traces = dict(rows("SELECT id, trace FROM notifications"))
    assert re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-00", traces[asked])
    assert traces[unasked] is None
    assert spans.all == ()


def test_a_message_without_trace_context_begins_no_trace(worker: Process, spans: Spans) -> None:
    [stored] = lifecycle.accept([draft()], GRACE)
    worker.deliver([stored.id])

    assert spans.all == ()


def test_a_rescued_notification_is_attempted_in_its_first_trace(post: Post, worker: Process, spans: Spans) -> None:
    id = post()["id"]
    assert lifecycle.claim([id], uuid4())
    assert lifecycle.release([(id, 1)])
    worker.deliver([id])

    attempt = spans.one("process notifications")
    assert child(spans.one("create notifications"), attempt)
    told = dict(attempt.attributes or {})
    assert (told["notification.claim"], told["notification.retry_count"]) == (2, 0)


def test_spans_and_log_lines_contain_no_recipient_and_no_content(
    post: Post, worker: Process, spans: Spans, smtp_server: SmtpServer, capfd: pytest.CaptureFixture[str]
) -> None:
    echo = f"<{PRIVATE['recipient']}>: {PRIVATE['subject']}, {PRIVATE['message']}"
    smtp_server.on("rcpt", Reply(550, f"5.1.1 {echo}"))
    worker.deliver([post()["id"]])
    post({"type": "email", "recipient": "private", "private": 1}, status=422)
    with mock.patch("db.lifecycle.accept", side_effect=ValueError(echo)):
        post(status=500)

    assert spans.named("INSERT notifications")[-1].status.is_ok is False
    told = json.dumps([json.loads(span.to_json()) for span in spans.all])
    logged = capfd.readouterr().err
    assert "private" not in told
    assert "private" not in logged
    assert "ValueError" in told
    assert "ValueError" in logged


def test_the_trace_context_of_a_client_is_not_stored_with_tracing_off(
    bound: Settings, store: Settings, redis_url: str
) -> None:
    async def exchange() -> Any:
        async with testing.ASGIConductor(create_app()) as api:
            return await api.simulate_post(
                NOTIFICATIONS, json={"type": "email", **PRIVATE}, headers={"traceparent": ASKED, "tracestate": "a=b"}
            )

    with configured(auth="off", database_url=bound.database.url):
        answer = asyncio.run(exchange())
    database.connect(reuse_if_open=True)

    assert answer.status_code == 201
    assert rows("SELECT trace FROM notifications") == [(None,)]


def test_wake_up_messages_that_redis_does_not_take_are_a_failed_span(on: Settings, spans: Spans) -> None:
    notifications = NotificationStore(on)
    with mock.patch(
        "actors.queue.broker.NotificationBroker.enqueue_all", side_effect=redis.ConnectionError(PRIVATE["recipient"])
    ):
        notifications._accept([draft()._replace(trace=ASKED)])
        sent = spans.one("send notifications")
    notifications.close()

    assert spans.one("INSERT notifications").status.is_ok
    assert not sent.status.is_ok
    assert dict(sent.attributes or {})["error.type"] == "ConnectionError"
    assert sent.events == ()
