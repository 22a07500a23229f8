"""POST and GET of the fields that only mails have, hostile input, and the memory of large bodies."""

from __future__ import annotations

import json
import socket
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.servers.valkey import Valkey
from tests.client import NOTIFICATIONS
from tests.contract import CheckedClient, faults
from tests.eventually import eventually
from tests.integration.api import Api, running
from tests.raw_http import JSON, chunked, exchange, request

NEEDED = {"type": "email", "recipient": "ann@example.com", "message": "Hello"}
MIB = 2**20
FUZZ = settings(suppress_health_check=list(HealthCheck))
FULL = NEEDED | {
    "from": "Schöne Grüße <noreply@sender.example>",
    "replyTo": "help@example.com",
    "recipientName": "Ann, née Ö.",
    "cc": ["Bob <bob@example.com>", "jösé@münchen.example"],
    "bcc": ["hidden@example.com"],
    "html": '<img src="cid:logo">',
    "headers": {"X-Campaign": "spring ☀", "References": "<a@b.example>"},
    "unsubscribe": {"url": "https://example.com/leave?list=7"},
}
FILES = [
    {"filename": "Rechnung ä.pdf", "contentType": "application/pdf", "content": b64encode(b"%PDF").decode()},
    {"filename": "logo.gif", "contentType": "image/gif", "content": "R0lG", "contentId": "logo"},
]

anything = st.text(max_size=40)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | anything | st.sampled_from(["a@b.example", "A <a@b.c>"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(anything | st.sampled_from(["X-A", "url"]), inner, max_size=4)
    ),
    max_leaves=12,
)
file = st.fixed_dictionaries(
    {},
    optional={
        "filename": values | st.just("a.txt"),
        "contentType": values | st.just("text/plain"),
        "content": values | st.just("QUJD"),
        "contentId": values,
        "extra": values,
    },
)
fields = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(["from", "replyTo", "recipientName", "cc", "bcc", "headers", "unsubscribe"], values),
        "attachments": values | st.lists(file | values, max_size=3),
    },
)


@pytest.fixture(scope="module")
def api(module_database_url: str, redis_server: Valkey) -> Iterator[Api]:
    with running(module_database_url, redis_server.url, bodies_limit=12 * MIB) as api:
        yield api


@pytest.fixture
def client(api: Api) -> CheckedClient:
    return api.client


def body_of(size: int) -> bytes:
    """A good document with a file, of so many bytes."""
    bare = json.dumps(NEEDED | {"attachments": [FILES[0] | {"content": ""}]}).encode()
    content = b"QUFB" * ((size - len(bare)) // 4)
    whole = bare.replace(b'"content": ""', b'"content": "%b"' % content)
    return whole.ljust(size)


def test_all_fields_of_a_mail_are_shown_as_sent_but_the_content_of_files(client: CheckedClient) -> None:
    accepted = client.post(NOTIFICATIONS, FULL | {"attachments": FILES})

    assert accepted.status == 201
    shown = client.get(accepted.headers["location"]).json
    assert shown == accepted.json
    assert {name: shown[name] for name in FULL} == FULL
    there = f"{accepted.headers['location']}/attachments"
    assert shown["attachments"] == [
        {
            "filename": "Rechnung ä.pdf",
            "contentType": "application/pdf",
            "contentId": None,
            "size": 4,
            "url": f"{there}/1",
        },
        {"filename": "logo.gif", "contentType": "image/gif", "contentId": "logo", "size": 3, "url": f"{there}/2"},
    ]


def test_content_of_attachments_is_stored_byte_for_byte(api: Api) -> None:
    every = bytes(range(256)) * 300
    files = [FILES[0] | {"content": b64encode(content).decode()} for content in (every, b"")]
    id = api.client.post(NOTIFICATIONS, NEEDED | {"attachments": files}).json["id"]

    stored = api.sql.rows(f"SELECT content FROM attachments WHERE notification_id = {id} ORDER BY number")
    assert [bytes(content) for (content,) in stored] == [every, b""]


def test_the_largest_possible_notification_is_accepted(client: CheckedClient) -> None:
    file = FILES[0] | {"content": b64encode(b"\xff" * 7_000_000).decode()}
    largest = NEEDED | {"message": "ü" * 100_000, "html": "ü" * 250_000, "attachments": [file]}
    body = json.dumps(largest, ensure_ascii=False).encode()

    assert client.request("POST", NOTIFICATIONS, body, {"Content-Type": "application/json"}).status == 201


@pytest.mark.parametrize(
    ("given_", "pointer"),
    [
        ({"from": "boss@elsewhere.example"}, "/from"),
        ({"from": "noreply@sender.example\r\nBcc: eve@example.com"}, "/from"),
        ({"replyTo": "a@b.example\r\nX: y"}, "/replyTo"),
        ({"recipientName": "Ann\r\nBcc: eve@example.com"}, "/recipientName"),
        ({"cc": ["Bob\r\n <bob@example.com>"]}, "/cc/0"),
        ({"cc": ["a@b.example"] * 10_000}, "/cc"),
        ({"bcc": [f"{n}@example.com" for n in range(10_000)]}, "/bcc"),
        ({"headers": {"X-A\r\nBcc": "x"}}, "/headers/X-A\r\nBcc"),
        ({"headers": {"X-A": "x\r\n\r\nHello"}}, "/headers/X-A"),
        ({"unsubscribe": {"url": "https://a.example/\r\nX: y"}}, "/unsubscribe/url"),
        ({"attachments": [FILES[0] | {"filename": 'a"\r\nX: y'}]}, "/attachments/0/filename"),
        ({"attachments": [FILES[0] | {"contentType": "a/b\r\nX: y"}]}, "/attachments/0/contentType"),
        ({"attachments": [FILES[0] | {"contentType": "message/rfc822"}]}, "/attachments/0/contentType"),
        ({"attachments": [FILES[0] | {"content": "QUJ"}]}, "/attachments/0/content"),
        ({"attachments": [FILES[0] | {"content": "A" * 9_600_000}]}, "/attachments"),
        ({"attachments": [FILES[1] | {"contentId": "a>\r\nX: y"}], "html": "x"}, "/attachments/0/contentId"),
    ],
)
def test_forbidden_values_in_fields_of_a_mail_are_refused_with_a_pointer(
    client: CheckedClient, given_: dict[str, Any], pointer: str
) -> None:
    refused = client.post(NOTIFICATIONS, NEEDED | given_)

    assert refused.status == 422
    assert list(faults(refused)) == [pointer]


@FUZZ
@given(document=fields)
def test_random_mail_fields_are_refused_or_stored_as_sent(api: Api, document: dict[str, Any]) -> None:
    answer = api.client.post(NOTIFICATIONS, NEEDED | document)

    assert answer.status in (201, 400, 422)
    if answer.status == 201:
        files = document.pop("attachments", [])
        shown = api.client.notification(answer.json["id"])
        assert {name: shown[name] for name in document} == document
        assert len(shown["attachments"]) == len(files)


def test_large_bodies_get_503_at_once_when_there_is_no_memory_for_them(api: Api) -> None:
    large = body_of(8 * MIB)
    with socket.create_connection(("127.0.0.1", api.port), 10) as first:
        first.sendall(request(JSON + b"Content-Length: %d\r\n" % len(large)) + large[:1000])
        for head in (b"Content-Length: %d\r\n" % len(large), b"Transfer-Encoding: chunked\r\n"):
            sent = large if head[:1] == b"C" else chunked(large) + b"0\r\n\r\n"

            def turned_away(head: bytes = head, sent: bytes = sent) -> bool:
                answer = exchange(api.port, request(JSON + head, sent))
                assert answer is not None
                api.contract.check("POST", NOTIFICATIONS, answer)
                return answer.status == 503

            assert eventually(turned_away)
        assert api.client.post(NOTIFICATIONS, NEEDED).status == 201

    def taken() -> bool:
        answer = exchange(api.port, request(JSON + b"Content-Length: %d\r\n" % len(large), large))
        return answer is not None and answer.status == 201

    assert eventually(taken)


def test_the_memory_of_a_large_body_is_released_however_the_request_ends(api: Api) -> None:
    wrong = body_of(8 * MIB).replace(b'"email"', b'"pigeon"')
    broken = body_of(8 * MIB)[:-10].rstrip() + b"!"
    for body, status in ((wrong, 422), (broken, 400), (body_of(8 * MIB), 201)) * 3:
        head = JSON + b"Content-Length: %d\r\n" % len(body)
        answer = exchange(api.port, request(head, body))
        assert answer is not None
        assert answer.status == status


def test_small_notifications_are_accepted_while_large_ones_are_read(api: Api) -> None:
    with ThreadPoolExecutor(4) as threads:
        large = [
            threads.submit(
                api.client.request, "POST", NOTIFICATIONS, body_of(2 * MIB), {"Content-Type": "application/json"}
            )
            for _ in range(4)
        ]
        small = [api.client.post(NOTIFICATIONS, NEEDED).status for _ in range(20)]
        assert small == [201] * 20
        assert [answer.result().status for answer in large] == [201] * 4
