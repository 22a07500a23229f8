"""GET /api/stream: each client gets every change of its notifications once and in order, despite restarts and slow
readers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from cli.servers.valkey import Valkey
from db import database, lifecycle
from tests.client import NOTIFICATIONS
from tests.contract import faults
from tests.environment import configured
from tests.eventually import eventually
from tests.integration.api import Api, running
from tests.integration.rows import GRACE, WORKER, attempt, draft
from tests.keys import client, key
from tests.sse import Reader
from tests.system import System

STREAM = "/api/stream"
LISTENERS, SHARE = 6, 4  # of all clients, and of one
MANY = 12_000  # events of some 500 bytes: more than all buffers on the way take


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    small: dict[str, Any] = {
        "stream_listeners": LISTENERS,
        "stream_heartbeat": 0.5,
        "web_concurrency": 1,
    }
    with (
        configured(database_url=module_database_url) as settings,
        running(module_database_url, redis_server.url, auth="required", **small) as api,
    ):
        database.bind(settings.database)
        with database.connection():
            yield api
        database.database.close()


@pytest.fixture
def owner(api: Api, request: pytest.FixtureRequest) -> int:
    """A client of the test's own."""
    return client(api.sql, request.node.name[:60])


def post(owner: int, **more: Any) -> int:
    """Accept one, as this client."""
    [stored] = lifecycle.accept([draft()._replace(client_id=owner, **more)], GRACE)
    return stored.id


def send(id: int) -> None:
    [held] = lifecycle.claim([id], WORKER)
    assert lifecycle.settle([lifecycle.sent(held, attempt())], GRACE, time.monotonic())


def reading(api: System, owner: int, **more: Any) -> Reader:
    return Reader(api.port, STREAM, key(api.sql, ["read"], of=owner), **more)


def test_a_stream_says_ready_and_then_sends_every_change_in_order(api: Api, owner: int) -> None:
    with reading(api, owner) as reader:
        ready = reader.next()
        assert (ready.type, ready.data) == ("ready", {"resumed": False})
        assert reader.answer.getheader("content-type") == "text/event-stream"
        assert 1_000 <= reader.retry <= 3_000
        first, second = post(owner, tags='["a"]'), post(owner)
        send(second)
        lifecycle.cancel(first, owner)
        assert reader.changes(5) == [
            *((first, "accepted"), (second, "accepted"), (second, "claimed"), (second, "sent")),
            (first, "cancelled"),
        ]


def test_an_event_shows_the_notification_after_the_change(api: Api, owner: int) -> None:
    with reading(api, owner) as reader:
        reader.next()
        id = post(owner, tags='["a"]', metadata='{"o":"1"}')
        event = reader.next()
    assert (event.type, event.data["event"]) == ("message", "accepted")
    shown = api.client
    shown.key = str(key(api.sql, ["read"], of=owner))
    whole = shown.notification(id)
    told = event.data["notification"]
    assert {name: whole[name] for name in told} == told
    assert event.data["at"] == whole["createdAt"]


def test_a_client_that_reconnects_gets_every_change_once(api: Api, owner: int) -> None:
    with reading(api, owner) as reader:
        reader.next()
        ids = [post(owner) for _ in range(3)]
        assert reader.changes(2) == [(id, "accepted") for id in ids[:2]]
        last = reader.last
    # More than the process keeps in memory.
    ids += [post(owner) for _ in range(30)]
    for again in ({"last": last}, {"lastEventId": last}, {"last": last, "lastEventId": "0"}):
        with reading(api, owner, **again) as reader:
            assert reader.next().data == {"resumed": True}
            assert reader.changes(len(ids) - 2) == [(id, "accepted") for id in ids[2:]]
            ids.append(post(owner))
            assert reader.changes(1) == [(ids[-1], "accepted")]


def test_a_burst_of_more_than_is_kept_in_memory_is_reported_in_full(api: Api, owner: int) -> None:
    with reading(api, owner) as reader:
        reader.next()
        ids = [a.id for a in lifecycle.accept([draft()._replace(client_id=owner)] * 700, GRACE)]
        assert reader.changes(700) == [(id, "accepted") for id in ids]


def test_a_heartbeat_advances_the_last_event_id(api: Api, owner: int) -> None:
    with reading(api, owner, status="failed") as reader:
        before = int(reader.next().id)
        post(owner)
        eventually(lambda: int(reader.beat()) == before + 1)
        post(client(api.sql, "not listened for"))
        assert int(reader.beat()) == before + 1


def test_a_stream_can_be_filtered_by_status_tag_and_sandbox(api: Api, owner: int) -> None:
    with (
        reading(api, owner, status="cancelled") as ended,
        reading(api, owner, tag="a") as tagged,
        reading(api, owner, sandbox="true") as toys,
    ):
        for reader in (ended, tagged, toys):
            reader.next()
        plain, marked, toy = post(owner), post(owner, tags='["a","b"]'), post(owner, sandbox=True)
        for id in (plain, marked, toy):
            lifecycle.cancel(id, owner)
        assert ended.changes(3) == [(id, "cancelled") for id in (plain, marked, toy)]
        assert tagged.changes(2) == [(marked, "accepted"), (marked, "cancelled")]
        assert toys.changes(2) == [(toy, "accepted"), (toy, "cancelled")]


def test_a_stream_has_no_events_of_another_client(api: Api, owner: int) -> None:
    other = client(api.sql, "other")
    with reading(api, owner) as mine, reading(api, other) as theirs:
        mine.next(), theirs.next()
        one, two = post(owner), post(other)
        again = post(owner), post(other)
        assert mine.changes(2) == [(one, "accepted"), (again[0], "accepted")]
        assert theirs.changes(2) == [(two, "accepted"), (again[1], "accepted")]
        last = theirs.last
    with reading(api, owner, lastEventId=0, last=str(int(last) - 3)) as mine:
        mine.next()
        found = [id for id, _ in mine.changes(1)]
    assert set(found) <= {one, again[0]}


def test_the_stream_of_a_test_key_has_only_sandbox_events(api: Api, owner: int) -> None:
    toy_key = key(api.sql, ["read"], of=owner, sandbox=True)
    with Reader(api.port, STREAM, toy_key) as reader:
        reader.next()
        post(owner)
        toy = post(owner, sandbox=True)
        assert reader.changes(1) == [(toy, "accepted")]
    asking = api.client
    asking.key = str(toy_key)
    assert list(faults(asking.get(STREAM, sandbox="false"))) == ["sandbox"]


def test_the_stream_of_a_revoked_key_ends(api: Api, owner: int) -> None:
    doomed = key(api.sql, ["read"], of=owner)
    with Reader(api.port, STREAM, doomed) as reader, reading(api, owner) as other:
        reader.next(), other.next()
        api.sql.rows("UPDATE keys SET revoked_at = now() WHERE id = %s RETURNING id", doomed.id)
        assert (end := reader.next()).type == "end"
        assert end.data["reason"] == "key"
        assert next(reader.rest, None) is None
        id = post(owner)
        assert other.changes(1) == [(id, "accepted")]


def test_a_resume_after_a_deleted_event_reports_the_loss(api: Api, owner: int) -> None:
    with reading(api, owner) as reader:
        first = reader.next().id
        post(owner)
        reader.next()
    api.sql.rows("UPDATE listeners SET since = %s WHERE client_id = %s RETURNING 1", reader.last, owner)
    for last in (first, 10**15) if int(first) < int(reader.last) else (10**15,):
        with reading(api, owner, last=str(last)) as again:
            lost = again.next()
            assert (lost.type, lost.data["after"]) == ("lost", int(last))
            assert (again.next().type, again.last) == ("ready", reader.last)
            id = post(owner)
            assert again.changes(1) == [(id, "accepted")]
            reader.last = again.last


@pytest.mark.parametrize("wrong", ["x", "-1", "1.5", str(2**63), "9" * 30, "\u0661"])
def test_an_invalid_last_event_id_is_refused(api: Api, owner: int, wrong: str) -> None:
    asking = api.client
    asking.key = str(key(api.sql, ["read"], of=owner))
    assert list(faults(asking.get(STREAM, lastEventId=wrong))) == ["lastEventId"]
    if wrong.isascii():
        assert list(faults(asking.request("GET", STREAM, headers={"Last-Event-ID": wrong}))) == ["Last-Event-ID"]


def test_a_malformed_stream_request_is_refused(api: Api, owner: int) -> None:
    asking = api.client
    asking.key = str(key(api.sql, ["read"], of=owner))
    answer = asking.get(STREAM, status="gone", colour="red", sandbox="maybe")
    assert (answer.status, set(faults(answer))) == (400, {"status", "colour", "sandbox"})


def test_a_stream_beyond_the_limit_is_a_503_until_another_one_leaves(api: Api, owner: int) -> None:
    asking = api.client
    asking.key = str(key(api.sql, ["read"], of=owner))

    def refused() -> bool:
        with ExitStack() as open:
            for _ in range(SHARE):  # Those of the test before may just be leaving.
                eventually(lambda: open.enter_context(reading(api, owner)), within=20)
            answer = asking.get(STREAM)
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert asking.get(NOTIFICATIONS).status == 200
        return True

    assert refused()
    assert eventually(refused, within=20)


def test_a_reader_that_stalls_is_cut_off_and_resumes_without_a_loss(api: Api, owner: int) -> None:
    slow = reading(api, owner)
    slow.take_little()
    with slow, reading(api, owner) as quick:
        first = slow.next().id
        quick.next()
        # As if so much had happened.
        [id] = [post(owner)]
        api.sql.rows(
            "WITH n AS (SELECT n FROM notifications AS n WHERE id = %s)"
            " SELECT note(n, 'released') FROM n, generate_series(1, %s)",
            *(id, MANY),
        )
        assert len(quick.changes(MANY + 1)) == MANY + 1
        eventually(lambda: "stream.cut" in api.log)
        read = list(slow.rest)
    assert len(read) < MANY
    assert slow.last == (read[-2].id if read[-1].type == "end" else read[-1].id)
    assert int(first) < int(slow.last)
    with reading(api, owner, last=slow.last) as again:
        again.next()
        assert [int(again.next().id) for _ in range(3)] == [int(slow.last) + n for n in (1, 2, 3)]


def test_streams_of_a_stopping_server_end_at_once_and_resume_elsewhere(
    module_database_url: str, redis_server: Valkey, api: Api, owner: int
) -> None:
    with running(module_database_url, redis_server.url, auth="required", shutdown_grace=20) as doomed:
        assert doomed.api is not None
        with reading(doomed, owner) as reader:
            reader.next()
            id = post(owner)
            assert reader.changes(1) == [(id, "accepted")]
            doomed.api.ask()
            assert reader.next().data["reason"] == "stopping"
            assert next(reader.rest, None) is None
        assert doomed.api.stop(within=15) == 0
        lifecycle.cancel(id, owner)
    with reading(api, owner, last=reader.last) as again:
        assert again.next().data == {"resumed": True}
        assert again.changes(1) == [(id, "cancelled")]


def test_a_stream_resumes_without_a_loss_after_the_server_was_killed(
    module_database_url: str, redis_server: Valkey, api: Api, owner: int
) -> None:
    """While changes go on, some of them before and some after whatever was told last."""
    with running(module_database_url, redis_server.url, auth="required") as doomed:
        assert doomed.api is not None
        with reading(doomed, owner) as reader:
            reader.next()
            ids = [post(owner) for _ in range(50)]
            seen = reader.changes(10)
            doomed.api.kill()
            ids += [post(owner) for _ in range(50)]
            seen += [(e.data["notification"]["id"], e.data["event"]) for e in reader.rest]
    with reading(api, owner, last=reader.last) as again:
        again.next()
        seen += again.changes(100 - len(seen))
    assert seen == [(id, "accepted") for id in ids]


def test_a_stream_ends_after_stream_seconds(
    module_database_url: str, redis_server: Valkey, api: Api, owner: int
) -> None:
    assert api
    with (
        running(module_database_url, redis_server.url, auth="required", stream_seconds=0.2) as brief,
        reading(brief, owner) as reader,
    ):
        [*_, end] = reader.rest
        assert (end.type, end.data["reason"]) == ("end", "time")


def test_streams_survive_the_loss_of_all_connections_to_the_database(api: Api, owner: int) -> None:
    with reading(api, owner) as reader:
        reader.next()
        before = api.log.count("database.unavailable")
        database.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        id = post(owner)
        assert reader.changes(1) == [(id, "accepted")]
        assert api.log.count("database.unavailable") >= before


def test_the_database_is_not_queried_while_no_stream_is_open(api: Api, owner: int) -> None:
    with reading(api, owner) as reader:
        reader.next()
        eventually(lambda: _asking(api))
    eventually(lambda: not _asking(api), within=15)


def _asking(api: Api) -> bool:
    """Return whether a process keeps a connection for streams."""
    return bool(
        api.sql.rows(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND (query LIKE '%%changes_id_seq%%' OR query LIKE '%%listeners%%')"
        )
    )
