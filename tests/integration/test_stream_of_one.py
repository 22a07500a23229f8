"""GET .../events as a stream: past events, new events, and the end; and `notify follow`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.servers.valkey import Valkey
from db import database, lifecycle
from tests.client import NOTIFICATIONS
from tests.environment import configured
from tests.eventually import eventually
from tests.integration.api import Api, running
from tests.integration.rows import CLIENT, GRACE, WORKER, accepted, attempt, passed
from tests.processes import ROOT, Group
from tests.sse import Reader


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with (
        configured(database_url=module_database_url) as settings,
        running(module_database_url, redis_server.url, stream_heartbeat=0.3) as api,
    ):
        database.bind(settings.database)
        with database.connection():
            yield api
        database.database.close()


def path(id: int) -> str:
    return f"{NOTIFICATIONS}/{id}/events"


def settle(id: int, outcome: str) -> None:
    [held] = lifecycle.claim([id], WORKER)
    now = time.monotonic()
    made = attempt(outcome)._replace(started=now, finished=now)
    settlement = lifecycle.sent(held, made) if outcome == "sent" else lifecycle.retry(held, made, 60)
    assert lifecycle.settle([settlement], GRACE, time.monotonic())


def told(reader: Reader) -> list[str]:
    """Return all until the stream ends: events by their names, a status as `=status`, the end as `.reason`."""
    of = {"message": ("", "event"), "status": ("=", "status"), "end": (".", "reason")}
    return [sign + event.data[name] for event in reader.rest for sign, name in [of[event.type]]]


def test_a_stream_sends_past_events_then_new_ones_and_ends_with_the_final_status(api: Api) -> None:
    [id] = accepted()
    with Reader(api.port, path(id)) as reader:
        assert [reader.next().data for _ in range(2)][1] == {"status": "pending"}
        settle(id, "deferred")
        assert reader.next().data["detail"]["outcome"] == "deferred"
        passed(100, id)
        settle(id, "sent")
        # A status that lasts for less than INTERVAL may be seen or not.
        seen = [one for one in told(reader) if one not in {"=pending", "=processing"}]
        assert seen == ["attempted", "sent", "=sent", ".final"]


def test_the_json_list_has_the_same_events_as_the_stream(api: Api) -> None:
    [id] = accepted()
    settle(id, "sent")
    with Reader(api.port, path(id)) as reader:
        streamed = [event.data for event in reader.rest if event.type == "message"]
    plain = api.client.get(path(id))
    assert streamed == plain.json["items"]
    assert (plain.headers["content-type"], plain.headers["vary"]) == ("application/json", "Accept")


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/json, text/event-stream", "text/html"])
def test_a_request_that_does_not_prefer_a_stream_gets_json(api: Api, accept: str) -> None:
    [id] = accepted()
    assert len(api.client.request("GET", path(id), headers={"Accept": accept}).json["items"]) == 1


def test_a_status_is_sent_while_it_lasts(api: Api) -> None:
    [id] = accepted()
    with Reader(api.port, path(id)) as reader:
        reader.next(), reader.next()
        [held] = lifecycle.claim([id], WORKER)
        assert reader.next().data == {"status": "processing"}
        lifecycle.release([(held.id, held.claim)])
        assert reader.next().data == {"status": "pending"}
        lifecycle.cancel(id, CLIENT)
        assert told(reader) == ["cancelled", "=cancelled", ".final"]


def test_a_stream_resumes_after_the_last_event_id(api: Api) -> None:
    [id] = accepted()
    settle(id, "deferred")
    with Reader(api.port, path(id), last="1") as reader:
        first = reader.next()
        assert (first.data["event"], first.id) == ("attempted", "2")
        reader.next()
        # A heartbeat with the number that one would come back with.
        assert reader.beat() == "2"
    lifecycle.cancel(id, CLIENT)
    with Reader(api.port, path(id), last="2", lastEventId="0") as reader:
        assert told(reader) == ["cancelled", "=cancelled", ".final"]


def test_reconnecting_to_a_finished_stream_is_answered_with_204(api: Api) -> None:
    [id] = accepted()
    lifecycle.cancel(id, CLIENT)
    stream = {"Accept": "text/event-stream"}
    assert api.client.request("GET", path(id), headers=stream | {"Last-Event-ID": "2"}).status == 204
    assert api.client.request("GET", path(id), headers=stream | {"Last-Event-ID": "x"}).status == 400
    assert api.client.request("GET", path(id) + "?colour=red", headers=stream).status == 400
    assert api.client.request("GET", path(10**9), headers=stream).status == 404


def test_an_operators_retry_within_the_stream_is_reported(api: Api) -> None:
    [id] = accepted()
    with Reader(api.port, path(id), last="99") as reader:
        assert reader.next().id == "1"
        reader.next()
        lifecycle.cancel(id, CLIENT)
        assert told(reader)[-1] == ".final"


def test_deleting_a_notification_ends_its_stream(api: Api) -> None:
    [id] = accepted()
    with Reader(api.port, path(id)) as reader:
        reader.next(), reader.next()
        database.rows("DELETE FROM notifications WHERE id = %s", id)
        assert told(reader) == [".gone"]


def followed(log: Path) -> list[tuple[int, str]]:
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [(line["notification"]["id"], line["event"]) for line in lines]


def test_notify_follow_reconnects_after_the_server_was_killed(
    module_database_url: str, redis_server: Valkey, api: Api, tmp_path: Path
) -> None:
    assert api
    with running(module_database_url, redis_server.url) as doomed:
        assert doomed.api is not None
        log = tmp_path / "follow.log"
        # Whatever the tests before have left is no reason to come late.
        [(after,)] = database.rows("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM changes_id_seq")
        url = f"http://127.0.0.1:{doomed.port}"
        command = ["notify", "follow", "--json", "--url", url, "--count", "5"]
        command += ["--after", str(after)] if after else []
        follow = Group(command, {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}, log)
        # It is told of the first one once it listens; before, nothing is written down.
        eventually(lambda: database.rows("SELECT 1 FROM listeners WHERE since IS NOT NULL AND until > now()"))
        ids: list[int] = []

        def heard() -> bool:
            ids.extend(accepted())
            return bool(followed(log))

        eventually(heard, within=20, every=0.5)
        doomed.api.kill()
        missed = accepted()
        restarted = doomed.start_api()
        ids += [*missed, *accepted(5)]
        eventually(lambda: len(followed(log)) == 5, within=20)
        eventually(lambda: not follow.running)
        assert follow.stop() == 0
        restarted.kill()
    begun = ids.index(followed(log)[0][0])
    assert followed(log) == [(id, "accepted") for id in ids[begun : begun + 5]]
