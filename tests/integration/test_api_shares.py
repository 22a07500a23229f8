"""Fair shares of the API: one client leaves memory, threads, long polls, streams and management requests to others."""

from __future__ import annotations

import json
import os
import select
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path

import psycopg2
import pytest

from cli.servers.valkey import Valkey
from tests.client import NOTIFICATIONS
from tests.contract import CheckedClient
from tests.eventually import eventually
from tests.integration.api import Api, running
from tests.keys import client, key
from tests.sse import Reader

pytestmark = pytest.mark.long

MIB = 2**20
PLACES = 4  # of which one client gets three
DRAFT = {"type": "email", "recipient": "a@example.com", "message": "Hello", "sendAt": "2099-01-01T00:00:00Z"}
_numbers = count(1)


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(
        module_database_url,
        redis_server.url,
        auth="required",
        web_concurrency=1,
        body_limit=8 * MIB,
        bodies_limit=8 * MIB,
        body_timeout=60,
        read_threads=2,
        accept_batch=1,
        accept_waiting=20,
        stream_listeners=PLACES,
        manage_rate=40,
        limits_timeout=10,
    ) as api:
        yield api


def newcomer(api: Api) -> tuple[CheckedClient, str]:
    """A client of its own, and its key."""
    asking, secret = api.client, str(key(api.sql, of=client(api.sql, f"sharing {next(_numbers)}")))
    asking.key = secret
    return asking, secret


@pytest.fixture
def greedy(api: Api) -> tuple[CheckedClient, str]:
    return newcomer(api)


@pytest.fixture
def modest(api: Api) -> CheckedClient:
    return newcomer(api)[0]


@pytest.fixture(scope="module")
def spent(api: Api) -> CheckedClient:
    """A client that its first test leaves without CPU time: each later one takes what has come back, and no more."""
    return newcomer(api)[0]


def large(size: int) -> dict[str, object]:
    file = {"filename": "a.txt", "contentType": "text/plain", "content": "QUFB" * (size // 4)}
    return {**DRAFT, "attachments": [file]}


def test_announced_bodies_that_never_arrive_leave_memory_for_others(
    api: Api, greedy: tuple[CheckedClient, str], modest: CheckedClient
) -> None:
    head = (
        f"POST {NOTIFICATIONS} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {greedy[1]}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {2 * MIB}\r\n\r\n"
    )
    with ExitStack() as open_connections:
        idle = [open_connections.enter_context(socket.create_connection(("127.0.0.1", api.port))) for _ in range(20)]
        for connection in idle:
            connection.sendall(head.encode() + b"{")
        # Three have the client's share and are waited for; the others are refused, as is all that it sends now.
        eventually(lambda: len(select.select(idle, [], [], 0)[0]) == len(idle) - 3, within=30, saying=api.logs)
        assert greedy[0].post(NOTIFICATIONS, large(MIB + MIB // 2)).status == 503
        assert modest.post(NOTIFICATIONS, large(MIB + MIB // 2)).status == 201


def test_slow_reads_of_one_client_leave_a_thread_for_others(
    api: Api, greedy: tuple[CheckedClient, str], modest: CheckedClient
) -> None:
    def read(_: int) -> int:
        asking = CheckedClient(api.port, api.contract)
        asking.key = greedy[1]
        return asking.get("/api/templates").status

    with ThreadPoolExecutor(8) as threads, closing(psycopg2.connect(api.environ["DATABASE_URL"])) as locking:
        with locking.cursor() as cursor:
            cursor.execute("LOCK TABLE template_names IN ACCESS EXCLUSIVE MODE")
        reads = [threads.submit(read, number) for number in range(8)]
        eventually(
            lambda: api.sql.rows(
                "SELECT pid FROM pg_locks WHERE NOT granted AND relation = 'template_names'::regclass"
            ),
            within=30,
            saying=api.logs,
        )
        assert modest.get(NOTIFICATIONS).status == 200
        assert not any(one.done() for one in reads)
        locking.rollback()
        assert {one.result() for one in reads} == {200}


def test_long_polls_of_one_client_leave_places_for_others(
    greedy: tuple[CheckedClient, str], modest: CheckedClient, api: Api
) -> None:
    def polling(asking: CheckedClient, id: int, secret: str, wait: int) -> int:
        own = CheckedClient(api.port, api.contract)
        own.key = secret
        return own.get(f"{NOTIFICATIONS}/{id}", wait=wait).status

    theirs = greedy[0].post(NOTIFICATIONS, DRAFT).json["id"]
    mine = modest.post(NOTIFICATIONS, DRAFT).json["id"]
    with ThreadPoolExecutor(PLACES + 1) as threads:
        polls = [threads.submit(polling, greedy[0], theirs, greedy[1], 60) for _ in range(PLACES + 1)]
        eventually(lambda: sum(poll.done() for poll in polls) == 2)
        assert modest.get(f"{NOTIFICATIONS}/{mine}", wait=1).status == 200
        assert greedy[0].request("POST", f"{NOTIFICATIONS}/{theirs}/cancel").status == 200
        assert sorted(poll.result() for poll in polls) == [200] * 3 + [503] * 2


def test_streams_of_one_client_leave_places_for_others(api: Api) -> None:
    greedy, modest = (key(api.sql, ["read"], of=client(api.sql, f"reading {next(_numbers)}")) for _ in range(2))
    with ExitStack() as open_streams:
        for _ in range(PLACES - 1):
            open_streams.enter_context(Reader(api.port, "/api/stream", greedy))
        asking = CheckedClient(api.port, api.contract)
        asking.key = str(greedy)
        assert asking.get("/api/stream").status == 503
        other = open_streams.enter_context(Reader(api.port, "/api/stream", modest))
        assert other.answer.status == 200


@pytest.mark.parametrize(
    ("path", "document", "headers"),
    [
        (NOTIFICATIONS, DRAFT, {}),
        (NOTIFICATIONS, DRAFT, {"Idempotency-Key": "a"}),
        (NOTIFICATIONS, large(4), {}),
        (f"{NOTIFICATIONS}/batch", {"items": [DRAFT]}, {}),
    ],
    ids=["plain", "once", "attached", "batch"],
)
def test_many_writes_of_one_client_neither_block_nor_overtake_those_of_another(
    api: Api, path: str, document: dict[str, object], headers: dict[str, str]
) -> None:
    owners = [client(api.sql, f"writing {next(_numbers)}") for _ in range(2)]
    greedy, modest = (str(key(api.sql, of=owner)) for owner in owners)

    def write(secret: str) -> int:
        asking = CheckedClient(api.port, api.contract)
        asking.key = secret
        own = {"Idempotency-Key": f"{next(_numbers)}"} if headers else {}
        body = json.dumps(document).encode()
        return asking.request("POST", path, body, {"Content-Type": "application/json", **own}).status

    with ThreadPoolExecutor(60) as threads, closing(psycopg2.connect(api.environ["DATABASE_URL"])) as locking:
        with locking.cursor() as cursor:
            cursor.execute("LOCK TABLE notifications IN EXCLUSIVE MODE")
        writes = {}
        for secret in (greedy, modest):
            writes[secret] = many = [threads.submit(write, secret) for _ in range(30)]
            # As soon as its share waits, more of it is refused.
            eventually(lambda many=many: sum(one.done() for one in many) >= 12, within=30, saying=api.logs)  # type: ignore[misc]
            assert {one.result() for one in many if one.done()} == {503}
        locking.rollback()
        assert [{one.result() for one in many} for many in writes.values()] == [{201, 503}] * 2
    [(before,)] = api.sql.rows(
        "SELECT count(*) FROM notifications AS n WHERE client_id = %s"
        " AND id < (SELECT min(id) FROM notifications WHERE client_id = %s)",
        *owners,
    )
    assert before <= 4


def test_management_requests_have_their_own_rate_limit(
    api: Api, greedy: tuple[CheckedClient, str], modest: CheckedClient
) -> None:
    id = greedy[0].post(NOTIFICATIONS, DRAFT).json["id"]
    answers = [greedy[0].send("PATCH", f"{NOTIFICATIONS}/{id}", {"sendAt": DRAFT["sendAt"]}) for _ in range(42)]
    assert [answer.status for answer in answers] == [200] * 40 + [429] * 2
    assert answers[-1].json["violated-policies"] == ["manage"]
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert "ratelimit" not in answers[-1].headers

    assert api.sql.rows("SELECT count(*) FROM events WHERE notification_id = %s", id) == [(0,)]
    # Whoever manages too much still sends and reads.
    assert greedy[0].post(NOTIFICATIONS, DRAFT).status == 201
    assert greedy[0].get(NOTIFICATIONS).status == 200
    other = modest.post(NOTIFICATIONS, DRAFT).json["id"]
    assert modest.request("POST", f"{NOTIFICATIONS}/{other}/cancel").status == 200


def test_an_export_counts_as_a_management_request(greedy: tuple[CheckedClient, str]) -> None:
    answers = [greedy[0].get("/api/export") for _ in range(42)]
    assert [answer.status for answer in answers] == [200] * 40 + [429] * 2
    assert answers[-1].json["violated-policies"] == ["manage"]


def costly(*, partial: bool) -> dict[str, object]:
    """A batch that is refused, and whose addresses take long to check: 0.6 ms each, 20 s together."""
    domain = ".".join(["xn--mnchen-3ya"] * 13) + ".de"
    fault = {} if partial else {"colour": "red"}
    return {
        "items": [
            {**DRAFT, **fault, "cc": [f"a@i{item}.{place}.{domain}" for place in range(45)]} for item in range(800)
        ]
    }


def cpu_seconds(api: Api) -> float:
    """CPU time of all processes of the API so far."""
    assert api.api is not None
    ticks = 0
    for pid in api.api.members:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("partial", [False, True])
def test_cpu_time_that_a_client_takes_is_bounded_and_charged(
    api: Api, greedy: tuple[CheckedClient, str], modest: CheckedClient, partial: bool
) -> None:
    before = cpu_seconds(api)
    path = f"{NOTIFICATIONS}/batch{'?partial=true' if partial else ''}"
    answers = [greedy[0].post(path, costly(partial=partial))]
    # On a busy machine the client's share grows as fast as such a request takes it.
    while answers[-1].status == 422 and len(answers) < 10:
        answers.append(greedy[0].post(path, costly(partial=partial)))
    assert answers[-1].status == 429
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert cpu_seconds(api) - before < 6 + 3 * len(answers)
    assert modest.post(NOTIFICATIONS, DRAFT).status == 201


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", NOTIFICATIONS),
        ("POST", f"{NOTIFICATIONS}/batch"),
        ("POST", f"{NOTIFICATIONS}/retry"),
        ("POST", "/api/suppressions"),
        ("POST", "/api/callbacks"),
        ("POST", "/api/erasures"),
        ("PUT", "/api/templates/a"),
        ("POST", "/api/templates/a/preview"),
    ],
)
def test_cpu_time_of_refused_requests_is_charged(
    spent: CheckedClient, modest: CheckedClient, method: str, path: str
) -> None:
    body = b"[" + (b"[" * 15 + b"]" * 15 + b",") * 33_000 + b"1]"  # takes a tenth of a second or more

    def used_up() -> bool:
        answer = spent.request(method, path, body, {"Content-Type": "application/json"})
        assert answer.status in (422, 429)
        return answer.status == 429 and "CPU time" in answer.json["detail"]

    eventually(lambda: not used_up(), within=60)
    try:
        assert any(used_up() for _ in range(60 if path in (NOTIFICATIONS, f"{NOTIFICATIONS}/batch") else 40))
    finally:
        assert modest.post(NOTIFICATIONS, DRAFT).status == 201
    # What only reads is not refused.
    assert spent.get(NOTIFICATIONS).status == 200


@pytest.mark.parametrize("field", ["from", "replyTo", "recipientName", "cc", "bcc"])
@pytest.mark.parametrize("hostile", [" ", '\\"', "a<", ", ", "a@"])
def test_a_mailbox_of_a_million_characters_is_refused_at_once(
    greedy: tuple[CheckedClient, str], field: str, hostile: str
) -> None:
    text = f'"{hostile * 300_000}'
    wanted = {**DRAFT, field: [text] if field in ("cc", "bcc") else text}
    refused = greedy[0].post(NOTIFICATIONS, wanted)
    assert (refused.status, len(refused.json["errors"])) == (422, 1)
    assert "characters" in refused.json["errors"][0]["detail"]


def test_the_check_of_a_batch_stops_when_its_client_disconnects(api: Api, greedy: tuple[CheckedClient, str]) -> None:
    body = json.dumps(costly(partial=True)).encode()
    head = (
        f"POST {NOTIFICATIONS}/batch?partial=true HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {greedy[1]}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", api.port)) as connection:
        connection.sendall(head.encode() + body)
    eventually(lambda: '"route":"/api/notifications/batch","status":408' in api.log, within=30, saying=api.logs)
