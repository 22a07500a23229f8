"""Requests and responses of the load generator, and replies of the mail sink."""

from __future__ import annotations

import json
from unittest import mock

import pytest

from benchmarks.mailbox import Mailbox
from benchmarks.sink import Smtp
from benchmarks.wire import Endpoint, answer, endpoint

ENVELOPE = b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"


@pytest.mark.parametrize(
    ("url", "path"), [("http://h:1", "/api/notifications"), ("http://h:1/api/x", "/api/x")]
)  # fmt: skip
def test_a_url_without_a_path_means_single_notifications(url: str, path: str) -> None:
    assert endpoint(url).path == path


def test_a_request_has_its_content_length() -> None:
    head, body = Endpoint("h", 1).post("a@example.com").split(b"\r\n\r\n")

    assert json.loads(body) == {"type": "email", "recipient": "a@example.com", "message": "Hello"}
    assert f"Content-Length: {len(body)}".encode() in head.split(b"\r\n")


def test_a_batch_has_as_many_different_recipients_as_asked_for() -> None:
    _, body = Endpoint("h", 1).batch("p", 3).split(b"\r\n\r\n")

    assert [item["recipient"] for item in json.loads(body)["items"]] == [f"p{n}@example.com" for n in (1, 2, 3)]


def test_an_answer_is_complete_with_its_last_byte() -> None:
    whole = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok"

    assert answer(whole[:-1]) is None
    assert answer(whole + b"HTTP") == (201, b"HTTP")
    with pytest.raises(ValueError, match="Content-Length"):
        answer(b"HTTP/1.1 200 OK\r\n\r\n")


def said(mailbox: Mailbox, *chunks: bytes) -> bytes:
    """Return the sink's replies to these writes, without its greeting."""
    session, transport = Smtp(mailbox, set()), mock.Mock()
    session.connection_made(transport)
    transport.reset_mock()
    for chunk in chunks:
        session.data_received(chunk)
    return b"".join(call.args[0] for call in transport.write.call_args_list)


@pytest.mark.parametrize("chunks", [[ENVELOPE], ENVELOPE.splitlines(keepends=True)])
def test_a_recipient_is_deferred_once_however_the_bytes_are_split(chunks: list[bytes]) -> None:
    mailbox = Mailbox()
    mailbox.defer(1)

    refused = said(mailbox, *chunks)
    assert [line[:3] for line in refused.splitlines()] == [b"250", b"451", b"554"]
    assert mailbox.count()[:2] == [0, 0]
    taken = said(mailbox, *chunks, b"Hello\r\n.\r\n")
    assert [line[:3] for line in taken.splitlines()] == [b"250", b"250", b"354", b"250"]
    assert mailbox.count()[:2] == [1, 1]


def test_the_share_that_is_deferred_is_about_the_one_asked_for_and_always_the_same() -> None:
    recipients = [f"r{n}@example.com".encode() for n in range(10_000)]
    mailbox = Mailbox()
    mailbox.defer(0.1)
    first = {r for r in recipients if mailbox.defers(r)}

    assert 800 < len(first) < 1_200
    assert not any(mailbox.defers(r) for r in recipients)
    mailbox.reset()
    assert {r for r in recipients if mailbox.defers(r)} == first
    mailbox.defer(0)
    mailbox.reset()
    assert not any(mailbox.defers(r) for r in recipients)
