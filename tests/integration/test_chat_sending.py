"""Sending of chat messages: the requests, the outcome of each fault, and pauses."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from actors.channels import Deferred, Refused, Throttled, Uncertain
from db import destinations
from db.database import rows
from tests.eventually import outlast
from tests.integration.chatting import Make, chats, destination, make, server, to
from tests.providers.chat import TOKEN, Chats
from tests.providers.server import (
    Server,
    answer_cut_at,
    answering,
    cut_at,
    hang_after,
    hang_before,
    reset_after,
    saying,
)

__all__ = ["chats", "make", "server"]

KINDS = ("slack", "discord", "telegram", "teams")
IMPATIENT = 0.4  # seconds; only for what hangs


def document(kind: str, posted: Any) -> str:
    """The text of a posted message."""
    match kind:
        case "teams":
            return str(posted["attachments"][0]["content"]["fallbackText"])
        case "discord":
            return str(posted["content"])
    return str(posted["text"])


@pytest.mark.parametrize("kind", KINDS)
def test_each_service_posts_the_message(make: Make, chats: Chats, server: Server, kind: str) -> None:
    destination(kind, server.url)
    receipt = make().send(to())
    [posted] = chats.posted
    assert posted.service == kind
    assert "Disk" in document(kind, posted.document)
    assert "is full" in document(kind, posted.document)
    assert receipt.phase == "answer"


@pytest.mark.parametrize("kind", KINDS)
def test_no_trace_header_is_sent_to_chat_services(make: Make, server: Server, kind: str) -> None:
    destination(kind, server.url)
    make().send(to())
    [request] = server.requests
    assert not request.headers.keys() & {"traceparent", "tracestate", "baggage", "webhook-id"}


def test_a_changed_destination_gets_the_next_attempt(make: Make, chats: Chats, server: Server) -> None:
    destination("slack", "http://127.0.0.1:9")
    sender = make()
    destinations.change(1, "alerts", "slack", {"url": f"{server.url}/slack/secret"})
    sender.send(to())
    assert len(chats.posted) == 1


def test_a_deleted_destination_gets_no_message(make: Make, server: Server) -> None:
    destination("slack", server.url)
    destinations.delete(1, "alerts")
    refused = make().failure(to())
    assert isinstance(refused, Refused)
    assert "deleted" in str(refused)
    assert not server.connections


def test_a_destination_of_another_client_is_not_found(make: Make, server: Server) -> None:
    destination("slack", server.url)
    assert isinstance(make().failure(to()._replace(client_id=2)), Refused)
    assert not server.connections


def test_a_destination_of_another_channel_gets_nothing(make: Make, server: Server) -> None:
    destination("webhook", server.url)
    assert isinstance(make().failure(to()), Refused)
    assert not server.connections


def test_a_message_that_another_worker_has_claimed_is_not_posted(make: Make, chats: Chats, server: Server) -> None:
    async def refuse() -> bool:
        return False

    destination("slack", server.url)
    with pytest.raises(Deferred, match="another worker"):
        make().send(to(), refuse)
    assert not chats.posted


def test_an_internal_address_is_not_called(make: Make, server: Server) -> None:
    destination("slack", server.url)
    undelivered = make(callback_allowed_networks="").failure(to())
    assert isinstance(undelivered, Deferred)
    assert not server.connections
    assert "127.0.0.1" not in str(undelivered)


def test_a_name_with_an_internal_address_is_not_called(make: Make, server: Server) -> None:
    destinations.create(destinations.New(1, "alerts", "slack", f"https://chat.example.com:{server.port}/x"), 1_000)
    sender = make(
        look_up=lambda host, port: socket.getaddrinfo("127.0.0.1", port, type=socket.SOCK_STREAM),
        callback_allowed_networks="",
    )
    assert isinstance(sender.failure(to()), Deferred)
    assert not server.connections


# faults: what has certainly not arrived is deferred, what may have arrived is uncertain


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("fault", "meaning"),
    [
        (hang_before, Uncertain),
        (hang_after, Uncertain),
        (reset_after, Uncertain),
        (cut_at(5), Uncertain),
        (answer_cut_at(10), Uncertain),
        (saying(b"garbage\r\n\r\n"), Uncertain),
    ],
    ids=["hang_before", "hang_after", "reset_after", "cut", "answer_cut", "garbage"],
)
def test_a_request_without_an_answer_is_uncertain(
    make: Make, server: Server, kind: str, fault: Any, meaning: type[Exception]
) -> None:
    destination(kind, server.url)
    server.faults.append(fault)
    assert isinstance(make(callback_timeout=IMPATIENT).failure(to()), meaning)


@pytest.mark.parametrize("kind", KINDS)
def test_a_service_that_accepts_no_connection_has_posted_nothing(make: Make, server: Server, kind: str) -> None:
    destination(kind, server.url)
    server.refuse()
    assert type(make().failure(to())) is Deferred


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_that_failed_is_posted_by_the_next_attempt(
    make: Make, chats: Chats, server: Server, kind: str
) -> None:
    destination(kind, server.url)
    server.faults.append(answering(502))
    sender = make()
    assert isinstance(sender.failure(to()), Uncertain)
    sender.send(to())
    assert len(chats.posted) == 1


# pauses


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("slack", answering(429, b"rate_limited", Retry_After="1.5")),
        ("discord", answering(429, {"retry_after": 1.5, "message": "You are being rate limited."})),
        ("telegram", answering(200, {"ok": False, "error_code": 429, "parameters": {"retry_after": 1.5}})),
        ("teams", answering(429, b"", Retry_After="1.5")),
    ],
)
def test_a_destination_gets_no_message_during_the_pause_that_it_asks_for(
    make: Make, chats: Chats, server: Server, kind: str, fault: Any
) -> None:
    destination(kind, server.url)
    server.faults.append(fault)
    sender = make()
    asked = sender.failure(to())
    assert isinstance(asked, Throttled)
    assert asked.retry_after == 1.5

    held = sender.failure(to())
    assert isinstance(held, Throttled)
    assert held.retry_after is not None
    assert 0 < held.retry_after <= 1.5
    assert sender.provider.ready(to())  # it is put off at once, and holds up nobody
    assert server.connections == 1

    outlast(1.6)
    sender.send(to())
    assert len(chats.posted) == 1


def test_messages_deferred_for_a_silent_destination_cost_no_attempt(make: Make, server: Server) -> None:
    destination("slack", server.url)
    server.faults.append(hang_after)
    sender = make(callback_timeout=IMPATIENT, callback_rest=30)
    assert isinstance(sender.failure(to()), Uncertain)
    waiting = sender.failure(to())
    assert isinstance(waiting, Throttled)
    assert waiting.retry_after == 30
    assert server.connections == 1


def test_other_destinations_are_not_affected_by_a_pause(make: Make, chats: Chats, server: Server) -> None:
    destination("slack", server.url)
    destination("slack", server.url, "others")
    server.faults.append(answering(429, b"rate_limited", Retry_After="3600"))
    sender = make()
    assert isinstance(sender.failure(to()), Throttled)
    sender.send(to("others"))
    assert len(chats.posted) == 1


def test_discord_gets_no_request_until_its_used_up_rate_window_ends(make: Make, server: Server) -> None:
    destination("discord", server.url)
    used_up = {"X_RateLimit_Remaining": "0", "X_RateLimit_Reset_After": "3000"}
    server.faults.append(answering(200, {"id": "1"}, **used_up))
    sender = make()
    sender.send(to())
    held = sender.failure(to())
    assert isinstance(held, Throttled)
    assert held.retry_after is not None
    assert held.retry_after > 2_900
    assert server.connections == 1


# what else a service may say


def test_a_moved_telegram_group_gets_the_message_at_its_new_id(make: Make, chats: Chats, server: Server) -> None:
    destinations.create(destinations.New(1, "alerts", "telegram", server.url, token=TOKEN, chat_id="-5"), 1_000)
    moved = {"ok": False, "error_code": 400, "parameters": {"migrate_to_chat_id": -1001234567890}}
    server.faults.append(answering(400, moved))
    sender = make()
    assert isinstance(sender.failure(to()), Throttled)
    assert rows("SELECT chat_id FROM destinations") == [("-1001234567890",)]
    outlast(1.1)  # the wait before a chat that has moved
    sender.send(to())
    assert len(chats.posted) == 1


def test_a_move_does_not_overwrite_a_chat_that_the_client_has_changed(make: Make, server: Server) -> None:
    destination("telegram", server.url)
    [(id,)] = rows("SELECT id FROM destinations")
    destinations.move_chat(id, "-5", "-6")
    assert rows("SELECT chat_id <> '-6' FROM destinations") == [(True,)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_repeats_the_request_is_stored_without_secrets(make: Make, server: Server, kind: str) -> None:
    destination(kind, server.url)
    [(url,)] = rows("SELECT url FROM destinations")
    server.faults.append(answering(400, f"bad: {url} /{kind}/secret {TOKEN if kind == 'telegram' else ''}".encode()))
    text = str(make().failure(to()))
    assert f"{kind}/secret" not in text or kind == "telegram"
    assert TOKEN not in text


def test_a_redirect_is_not_followed(make: Make, server: Server) -> None:
    with Server(Chats().serve) as inside:
        destination("slack", server.url)
        server.faults.append(answering(307, b"", Location=f"{inside.url}/slack/secret"))
        assert isinstance(make().failure(to()), Deferred)
        assert not inside.connections


def test_messages_that_wait_for_the_end_of_a_pause_are_spread_over_time(make: Make, server: Server) -> None:
    destination("slack", server.url)
    server.faults.append(answering(429, b"rate_limited", Retry_After="1000"))
    sender = make()
    errors = [sender.failure(to()) for _ in range(9)]
    waits = [error.retry_after or 0.0 for error in errors if isinstance(error, Throttled)]
    assert len(waits) == 9
    assert waits[0] == 1_000.0
    # Each of the eight that were not tried waits a quarter of a second longer, less the time that has passed.
    assert waits[8] - waits[1] > 1.0
