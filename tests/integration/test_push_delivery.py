"""Push messages in a worker: each goes through a provider that reaches its recipient; and the recorded outcomes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import orjson
import pytest

from db import breaker, lifecycle
from db.database import connection, rows
from db.records import Draft
from settings import Settings
from tests.environment import configured
from tests.eventually import eventually
from tests.integration.push_delivering import PushProcess
from tests.integration.pushing import DEVICE
from tests.integration.rows import GRACE, history, passed, row, status
from tests.providers import http2_server, server
from tests.providers.http2_server import Http2Server
from tests.providers.push_apis import UNREGISTERED, Apns, Fcm, WebPush
from tests.providers.push_keys import BROWSER, url
from tests.providers.server import Server

KEYS = orjson.dumps({"keys": BROWSER.keys}).decode()
RECIPIENTS = {
    "fcm": "fcm:token-{}",
    "apns": "apns:" + DEVICE[:-2] + "{:02x}",
    "webpush": "webpush:https://p.example/{}",
}


class World:
    """The three services, and a worker process with a provider for each."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.fcm, self.apns, self.web = Fcm(), Apns(), WebPush()
        self.fcm_server = stack.enter_context(Server(self.fcm))
        self.apns_server = stack.enter_context(Http2Server(self.apns))
        self.web_server = stack.enter_context(Server(self.web))
        self._stack = stack

    def start(self, *kinds: str) -> PushProcess:
        places = {"fcm": self.fcm_server.url, "apns": self.apns_server.url, "webpush": self.web_server.url}
        urls = {f"provider_{kind}": url(kind, self.folder, places[kind]) for kind in kinds or places}
        with configured(breaker_threshold=2, **urls) as current:
            process = PushProcess(current, uuid4())
        self._stack.callback(process.close)
        return process


@pytest.fixture
def world(store: Settings, tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(tmp_path, stack)


def draft(recipient: str, **fields: object) -> Draft:
    mail = KEYS if recipient.startswith("webpush") else None
    made = Draft("push", recipient, "Hi", "Hello", None, queue="push.normal", mail=mail)
    return made._replace(**fields)  # type: ignore[arg-type]


def accept(*kinds: str, **fields: object) -> list[int]:
    drafts = [draft(RECIPIENTS[kind].format(number), **fields) for number, kind in enumerate(kinds)]
    return [one.id for one in lifecycle.accept(drafts, GRACE)]


def providers(ids: list[int]) -> list[str]:
    return [name for (name,) in rows("SELECT provider FROM attempts WHERE notification_id = ANY(%s) ORDER BY 1", ids)]


def test_each_message_of_a_list_goes_through_the_provider_of_its_kind(world: World) -> None:
    process = world.start()
    ids = accept(*("fcm", "apns", "webpush") * 10)

    process.deliver(ids)

    assert {status(id) for id in ids} == {"sent"}
    assert [len(fake.sink) for fake in (world.fcm, world.apns, world.web)] == [10, 10, 10]
    assert providers(ids) == ["apns"] * 10 + ["fcm"] * 10 + ["webpush"] * 10
    assert {taken.headers["apns-collapse-id"] for taken in world.apns.sink} == {str(id) for id in ids[1::3]}


def test_the_row_names_the_provider_that_sends_it_while_it_is_under_way(world: World) -> None:
    process = world.start()
    seen: list[tuple[int, str]] = []
    ids = accept("fcm", "apns", "webpush")

    def look(exchange: http2_server.Exchange) -> None:
        with connection():
            seen.extend(rows("SELECT id, claimed_provider FROM notifications WHERE status = 'processing'"))
        exchange.answer(exchange.take())

    world.apns_server.faults.append(look)
    process.deliver(ids)

    assert (ids[1], "apns") in seen


def test_messages_of_a_service_that_is_down_wait_at_no_cost_while_others_are_sent(world: World) -> None:
    process = world.start()
    world.apns_server.refuse()
    for id in accept("apns", "apns"):
        process.deliver([id])
    eventually(lambda: rows("SELECT name FROM providers WHERE opened_at IS NOT NULL") == [("apns",)])
    ids = accept(*("fcm", "apns") * 4)

    process.deliver(ids)

    assert {status(id) for id in ids[::2]} == {"sent"}
    for id in ids[1::2]:
        waiting = row(id)
        assert (waiting["status"], waiting["retry_count"], waiting["attempt_count"]) == ("pending", 0, 0)
        assert waiting["last_error"] == "waits for apns"


def test_a_service_is_tested_with_a_message_that_it_can_take(world: World) -> None:
    process = world.start("fcm", "apns")
    breaker.trip("apns", "connect: refused", 0.0)
    apns = process.delivery.routers["push"].named("apns")
    assert apns
    apns.breaker.refresh()
    ids = accept("fcm", "fcm", "fcm", "apns")

    for _ in range(3):
        process.deliver(ids[:3])

    assert {status(id) for id in ids} == {"sent"}
    assert providers([ids[3]]) == ["apns"]
    eventually(lambda: not rows("SELECT name FROM providers WHERE opened_at IS NOT NULL"))


def test_a_message_without_a_suitable_provider_waits_with_the_reason(world: World) -> None:
    process = world.start("fcm")
    ids = accept("apns", "fcm")

    process.deliver(ids)

    assert [status(id) for id in ids] == ["pending", "sent"]
    waiting = row(ids[0])
    assert waiting["last_error"] == "waits for a provider that reaches apns: recipients"
    assert (waiting["retry_count"], waiting["attempt_count"]) == (0, 0)


@pytest.mark.parametrize("kind", ["fcm", "apns", "webpush"])
def test_a_token_that_has_ended_goes_on_the_suppression_list(kind: str, world: World) -> None:
    process = world.start()
    world.fcm_server.faults.append(lambda exchange: exchange.client.sendall(_token(exchange)))
    if kind == "fcm":
        world.fcm_server.faults.append(server.answering(404, UNREGISTERED))
    elif kind == "apns":
        gone = {"reason": "Unregistered", "timestamp": 1_700_000_000_000}
        world.apns_server.faults.append(http2_server.answering(410, gone))
    else:
        world.web_server.faults.append(server.answering(410, b"gone"))
    [id] = accept(kind)
    process.deliver([id])

    assert (status(id), row(id)["failure_reason"], history(id)) == ("failed", "rejected", ["refused"])
    [(address, reason)] = rows("SELECT address, reason FROM suppressions")
    assert (address, reason) == (RECIPIENTS[kind].format(0), "bounced")
    [again] = accept(kind)
    process.deliver([again])
    assert (status(again), row(again)["failure_reason"]) == ("failed", "suppressed")


def _token(exchange: server.Exchange) -> bytes:
    return exchange.serve().octets


@pytest.mark.parametrize(("on_uncertain", "expected"), [("resend", "sent"), ("hold", "failed")])
def test_an_unknown_outcome_is_sent_again_with_the_same_id_or_held(
    on_uncertain: str, expected: str, world: World
) -> None:
    process = world.start()
    world.apns_server.faults.append(http2_server.drop_after)
    [id] = accept("apns", on_uncertain=on_uncertain)
    process.deliver([id])
    if on_uncertain == "resend":
        passed(3_600, id)
        process.deliver([id])

    assert (status(id), history(id)[0]) == (expected, "uncertain")
    copies = {(taken.headers["apns-id"], taken.headers["apns-collapse-id"]) for taken in world.apns.sink}
    assert len(copies) == 1
    assert len(world.apns.sink) == (2 if on_uncertain == "resend" else 1)


def test_with_hold_a_message_reaches_the_service_at_most_once_under_any_fault(world: World) -> None:
    process = world.start("apns")
    faults: list[Callable[[http2_server.Exchange], None]] = [
        *(http2_server.drop_after, http2_server.goaway_before, http2_server.goaway_then_drop),
        *(http2_server.answering(500), http2_server.answering(503, {"reason": "Shutdown"})),
    ]
    ids = accept(*("apns",) * 20, on_uncertain="hold")
    for turn in range(8):
        world.apns_server.faults.extend(faults[turn % 5 :])
        process.deliver([id for id in ids if status(id) == "pending"])
        for id in ids:
            passed(3_600, id)
        rows("UPDATE providers SET opened_at = NULL, probe_after = NULL, probe_by = NULL, wait = NULL")
        process.delivery.routers["push"].queues[0].breaker.refresh()
    world.apns_server.faults.clear()

    sent = [taken.headers["apns-collapse-id"] for taken in world.apns.sink]
    assert len(sent) == len(set(sent))
    assert {status(id) for id in ids} <= {"sent", "failed"}
