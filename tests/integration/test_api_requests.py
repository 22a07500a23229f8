"""Unusual requests: their paths, methods, queries and headers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from cli.servers.valkey import Valkey
from tests.client import NOTIFICATIONS, Response
from tests.contract import CheckedClient, faults
from tests.eventually import eventually
from tests.integration.api import Api, running
from tests.raw_http import exchange, request

PATHS = [NOTIFICATIONS, f"{NOTIFICATIONS}/1", f"{NOTIFICATIONS}/1/attempts", "/healthz", "/readyz", "/openapi.json"]
MORE = {NOTIFICATIONS: {"POST"}, f"{NOTIFICATIONS}/1": {"PATCH"}}
WORKER = "7b1d2c1e-52a5-4f6b-9d3c-0c8f5a3f1e11"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
WEBSOCKET = UPGRADE + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url) as api:
        assert api.client.notify("first@example.com").json["id"] == 1
        yield api


@pytest.fixture
def client(api: Api) -> CheckedClient:
    return api.client


def answered(api: Api, head: bytes, *, method: bytes = b"GET", path: bytes = b"/healthz") -> Response:
    answer = exchange(api.port, request(head, method=method, path=path))
    assert answer is not None
    return answer


@pytest.mark.parametrize(
    "id",
    [
        *("0", "-1", "2", "1.0", "1e0", "0x1", "+1", " 1", "1 ", "one", "null", "", "1;a", "1_0"),
        *(str(2**63 - 1), str(2**63), str(10**30), "9" * 3000),
        *("%D9%A1", "%C2%B2", "%EF%BC%91", "%00", "1%00", "%FF", "%0d%0aX-Evil:1", "%2e%2e", "1%2Fattempts%2F", "%"),
    ],
)
def test_an_id_of_no_notification_is_not_found(client: CheckedClient, id: str) -> None:
    assert client.get(f"{NOTIFICATIONS}/{id.replace(' ', '%20')}").status == 404
    assert client.get(f"{NOTIFICATIONS}/{id.replace(' ', '%20')}/attempts").status == 404


def test_a_notification_that_was_not_tried_has_no_attempts_yet(client: CheckedClient) -> None:
    assert client.get(f"{NOTIFICATIONS}/1/attempts").json == {"items": []}


def test_attempts_are_shown_first_to_last_as_they_were_recorded(api: Api, client: CheckedClient) -> None:
    id = client.notify("tried@example.com").json["id"]
    api.sql.rows(
        "INSERT INTO attempts (notification_id, number, outcome, worker, provider, started_at, finished_at,"
        " phase, reply_code, enhanced_code, text) VALUES"
        " (%s, 2, 'lost', %s, 'email', '2024-01-01 10:00:01Z', '2024-01-01 10:00:02Z', NULL, NULL, NULL, NULL),"
        " (%s, 1, 'deferred', %s, 'mail:25', '2024-01-01Z', '2024-01-01 00:00:00.5Z', 'rcpt', 450, '4.2.0', 'busy')"
        " RETURNING number",
        *(id, WORKER, id, WORKER),
    )

    assert client.attempts(id) == [
        {
            "number": 1,
            "outcome": "deferred",
            "startedAt": "2024-01-01T00:00:00Z",
            "finishedAt": "2024-01-01T00:00:00.500000Z",
            "worker": WORKER,
            "provider": "mail:25",
            "phase": "rcpt",
            "replyCode": 450,
            "enhancedCode": "4.2.0",
            "text": "busy",
            "providerMessageId": None,
            "reportId": None,
        },
        {
            "number": 2,
            "outcome": "lost",
            "startedAt": "2024-01-01T10:00:01Z",
            "finishedAt": "2024-01-01T10:00:02Z",
            "worker": WORKER,
            "provider": "email",
            "phase": None,
            "replyCode": None,
            "enhancedCode": None,
            "text": None,
            "providerMessageId": None,
            "reportId": None,
        },
    ]


@pytest.mark.parametrize("path", ["/nowhere", "/api", "/api/", "/api/notification", "/healthz/", "/%00", "/%FF"])
def test_an_unknown_path_is_not_found(client: CheckedClient, path: str) -> None:
    assert client.get(path).status == 404
    assert client.post(path, {}).status == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "TRACE", "PROPFIND"])
@pytest.mark.parametrize("path", PATHS)
def test_an_unsupported_method_is_a_405_that_lists_the_supported_ones(
    client: CheckedClient, path: str, method: str
) -> None:
    refused = client.request(method, path)

    assert refused.status == 405
    taken = {"GET", "HEAD", "OPTIONS"} | MORE.get(path, set())
    assert set(refused.headers["allow"].split(", ")) == taken


@pytest.mark.parametrize("path", PATHS[1:])
def test_a_post_to_a_single_notification_is_a_405(client: CheckedClient, path: str) -> None:
    assert client.post(path, {}).status == 405


@pytest.mark.parametrize("path", PATHS)
def test_head_is_get_without_the_body(client: CheckedClient, path: str) -> None:
    shown, head = client.get(path), client.request("HEAD", path)

    assert (head.status, head.raw) == (200, b"")
    for name in ("content-type", "content-length"):
        assert head.headers[name] == shown.headers[name]


@pytest.mark.parametrize("path", PATHS)
def test_options_lists_the_methods(client: CheckedClient, path: str) -> None:
    options = client.request("OPTIONS", path)

    assert (options.status, options.raw) == (200, b"")
    assert {"GET", "HEAD"} <= set(options.headers["allow"].split(", "))


@pytest.mark.parametrize("method", [b"FOO", b"get", b"G\xffT", b"G" * 5000, b"", b"CONNECT"])
def test_invalid_method_is_refused(api: Api, method: bytes) -> None:
    assert answered(api, b"", method=method).status in (400, 405, 414)


@pytest.mark.parametrize("path", [b"/\xff", b"*", b"/api/notifications?status=\xff", "/٣".encode(), b"/a b"])
def test_a_malformed_path_is_refused(api: Api, path: bytes) -> None:
    assert answered(api, b"", path=path).status == 400


def test_a_url_that_is_too_long_is_refused(api: Api) -> None:
    assert answered(api, b"", path=b"/api/notifications?recipient=" + b"a" * 100_000).status == 414


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"X: \xff\xfe\r\n", 200),
        (b"Accept: \xff, text/xml\r\n", 200),
        (b"Accept: application/xml\r\n", 200),
        (b"Cookie: \xff=;;;=\r\n", 200),
        (b"Content-Type: \xff\r\n", 200),
        (b"If-None-Match: *\r\n", 200),
        (b"Range: bytes=0-1\r\n", 200),
        (b"X: a\0b\r\n", 400),
        (b"X y: z\r\n", 400),
        (b": z\r\n", 400),
        (b"no colon\r\n", 400),
        (b" folded: z\r\n", 400),
        (b"Cookie: " + b"a" * 100_000 + b"\r\n", 431),
        (b"X: y\r\n" * 1000, 431),
    ],
)
def test_malformed_headers_are_ignored_or_refused(api: Api, head: bytes, status: int) -> None:
    assert answered(api, head).status == status


@pytest.mark.parametrize("path", [b"/healthz", b"/nowhere", b"/api/notifications/1"])
def test_a_websocket_is_refused(api: Api, path: bytes) -> None:
    assert answered(api, WEBSOCKET, path=path).status == 403


@pytest.mark.parametrize("given", ["a", "Root=1-5759e988-bd862e3fe1be46a994272793", "a.b_c:d/e+f=g-h", "x" * 100])
def test_a_valid_request_id_of_the_client_is_kept(client: CheckedClient, given: str) -> None:
    assert client.request("GET", "/healthz", headers={"X-Request-ID": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", [b"", b"a b", b"x" * 101, b"\xff", b"a\tb", b'{"a":1}', b"a\r\nX-Request-ID: b"])
def test_an_invalid_request_id_is_replaced(api: Api, given: bytes) -> None:
    first, second = (answered(api, b"X-Request-ID: " + given + b"\r\n").headers["x-request-id"] for _ in range(2))

    assert re.fullmatch("[0-9a-f]{32}", first)
    assert first != second


def test_error_answers_have_the_request_id(client: CheckedClient) -> None:
    for path in ("/nowhere", f"{NOTIFICATIONS}/0", f"{NOTIFICATIONS}?limit=0"):
        answer = client.request("GET", path, headers={"X-Request-ID": "mine"})
        assert (answer.status // 100, answer.headers["x-request-id"]) == (4, "mine")


@pytest.mark.parametrize("query", ["x&y=&z=1", "%FF=1", "=1", "status=%FF&limit=%FF&cursor=%FF&type=%00"])
def test_every_invalid_parameter_is_listed(client: CheckedClient, query: str) -> None:
    refused = client.get(f"{NOTIFICATIONS}?{query}")

    assert refused.status == 400
    assert len(faults(refused)) == query.count("&") + 1


def test_at_most_a_hundred_invalid_parameters_are_listed(client: CheckedClient) -> None:
    refused = client.get(f"{NOTIFICATIONS}?{'&'.join(f'p{n}' for n in range(500))}")

    assert len(refused.json["errors"]) == 100


def test_health_and_readiness_say_ok(client: CheckedClient) -> None:
    assert client.get("/healthz").json == {"status": "ok"}
    assert client.get("/readyz").json == {
        "status": "ok",
        "checks": {"database": "ok", "migrations": "ok", "redis": "ok"},
    }


@pytest.mark.parametrize("path", [*PATHS, f"{NOTIFICATIONS}/2000000", "/nowhere", f"{NOTIFICATIONS}?colour=red"])
def test_an_answer_to_curl_ends_with_a_line_feed(client: CheckedClient, path: str) -> None:
    answer = client.get(path)

    assert answer.raw.endswith(b"}\n")
    assert answer.headers["content-length"] == str(len(answer.raw))


def test_with_auth_off_a_sent_key_is_logged_once_without_its_text(api: Api, client: CheckedClient) -> None:
    client.key = "ntf_live_1_nobody-has-this-key"
    assert [client.get(f"{NOTIFICATIONS}/1").status for _ in range(3)] == [200] * 3

    [line] = eventually(lambda: [line for line in api.events if '"auth.key_ignored"' in line])
    assert '"level":"warning"' in line
    assert "nobody-has-this-key" not in api.log
