"""The quick parser of HTTP does with whatever comes, in whatever pieces, what gunicorn's own does."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from gunicorn.asgi.parser import PythonProtocol
from hypothesis import example, given, settings
from hypothesis import strategies as st

from api.parsing import QuickParser

POST = b"POST /api/notifications HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
STATE = ("method", "path", "http_version", "headers", "content_length", "is_chunked", "should_keep_alive")

lines = st.sampled_from(
    [
        *(b"GET / HTTP/1.1", b"POST /a?b=%20c HTTP/1.1", b"GET /\xff HTTP/1.1", b"GET  / HTTP/1.1", b"get / HTTP/1.1"),
        *(b"GET / HTTP/1.0", b"OPTIONS * HTTP/1.1", b"GET http://a/ HTTP/1.1", b"GET /a b HTTP/1.1", b"PUT /x HTTP/2"),
    ]
)
names = st.sampled_from(
    [
        *(b"Host", b"host", b"Content-Length", b"Transfer-Encoding", b"Connection", b"Expect", b"X_y", b"x-y", b"X y"),
        *(b" Host", b"Host ", b"", b"X\x00", b"Content-Type", b"Upgrade", b"\xe4"),
    ]
)
values = st.sampled_from(
    [
        *(b"a", b"", b"2", b"+2", b"0", b" 2\t", b"\t a b \t", b"chunked", b"gzip, chunked", b"close", b"keep-alive"),
        *(b"100-continue", b"a\x00b", b"a\rb", b"a\nb", b"\x7f", b"\xff", b"a\r\n b"),
    ]
)
ends = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r"])
heads = st.builds(
    lambda line, end, fields, last: line + end + b"".join(fields) + last,
    lines,
    ends,
    st.lists(st.builds(lambda *parts: b"".join(parts), names, st.just(b":"), values, ends), max_size=5),
    st.sampled_from([b"\r\n", b"\r\n", b"\n", b""]),
)
requests = heads | st.just(POST) | st.binary(max_size=30)
streams = st.builds(
    lambda several, rest: b"".join(several) + rest,
    st.lists(requests, max_size=3),
    st.sampled_from([b"", b"{}", b"2\r\n{}\r\n0\r\n\r\n", b"\r\n" + POST]),
)


def heard(kind: type[PythonProtocol], pieces: list[bytes], **limits: int) -> list[Any]:
    """All that a connection hears of these pieces, one request after the other."""
    told: list[Any] = []

    def headers_complete() -> bool:
        told.append([getattr(parser, name) for name in STATE])
        return False

    parser = kind(
        on_headers_complete=headers_complete,
        on_body=lambda piece: told.append(bytes(piece)),
        on_message_complete=lambda: told.append("complete"),
        **limits,
    )
    try:
        for piece in pieces:
            parser.feed(piece)
            while parser.is_complete:
                rest = parser.remaining()
                told.append(rest)
                parser.reset()
                parser.feed(rest)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must be the same
        told.append((type(error), str(error)))
    return told


@settings(max_examples=2_000, deadline=None)
@given(stream=streams, cuts=st.lists(st.integers(0, 200), max_size=3))
@example(stream=POST, cuts=[])
@example(stream=POST + POST, cuts=[])
@example(stream=POST, cuts=[50])
@example(stream=b"\r\n" + POST, cuts=[])
def test_both_parsers_hear_the_same(stream: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(places) if stream[a:b]]
    assert heard(QuickParser, pieces) == heard(PythonProtocol, pieces)


@pytest.mark.parametrize(
    "limits",
    [
        {"limit_request_line": 30},
        {"limit_request_line": 0},
        {"limit_request_fields": 2},
        {"limit_request_fields": 0},
        {"limit_request_field_size": 20},
        {"limit_request_field_size": 0},
    ],
    ids=str,
)
def test_both_parsers_keep_the_same_limits(limits: dict[str, int]) -> None:
    assert heard(QuickParser, [POST], **limits) == heard(PythonProtocol, [POST], **limits)


def test_a_common_head_takes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PythonProtocol, "_parse_headers", lambda _: pytest.fail("read line by line"))
    assert heard(QuickParser, [POST, POST]).count("complete") == 2
