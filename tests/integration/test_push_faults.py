"""Push services that refuse, hang, disconnect or answer nonsense: the outcome claims no more than is known."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from h2.errors import ErrorCodes

from actors.channels import Deferred, ProviderDown, Refused, Throttled, Uncertain
from settings.push_accounts import CONNECTIONS
from tests.eventually import eventually
from tests.integration.pushing import IMPATIENT, KINDS, MESSAGES, service
from tests.providers import http2_server, server
from tests.providers.http2_server import Http2Server
from tests.providers.push_apis import UNREGISTERED, Fcm

OF_ALL = pytest.mark.parametrize("kind", KINDS)
DIED = datetime(2026, 5, 1, tzinfo=UTC)
MILLISECONDS = int(DIED.timestamp() * 1_000)


def answering(kind: str, status: int, body: object = b"", **headers: str) -> Any:
    return (http2_server if kind == "apns" else server).answering(status, body, **headers)


def warm(kind: str, pusher: Any, fake: Any) -> None:
    """Get the access token, whose request is not to meet the fault."""
    if kind == "fcm":
        pusher.send()
        fake.sink.clear()


@OF_ALL
def test_a_refused_connection_means_that_nothing_was_taken(kind: str, tmp_path: Path) -> None:
    with service(kind, tmp_path) as (given, fake, pusher):
        given.refuse()
        error = pusher.failure()

    # A client chooses the server of Web Push, so that it must not open the breaker.
    assert isinstance(error, Deferred if kind == "webpush" else ProviderDown)
    assert "refused" in str(error)
    assert not fake.sink


@OF_ALL
def test_a_message_that_is_taken_without_an_answer_is_uncertain(kind: str, tmp_path: Path) -> None:
    with service(kind, tmp_path, IMPATIENT) as (given, fake, pusher):
        warm(kind, pusher, fake)
        given.faults.append((http2_server if kind == "apns" else server).hang_after)
        error = pusher.failure()

        assert isinstance(error, Uncertain)
        assert error.receipt.phase == "answer"
        assert len(fake.sink) == 1


@OF_ALL
def test_a_connection_that_breaks_after_the_message_is_uncertain(kind: str, tmp_path: Path) -> None:
    with service(kind, tmp_path) as (given, fake, pusher):
        warm(kind, pusher, fake)
        given.faults.append(http2_server.drop_after if kind == "apns" else server.reset_after)  # type: ignore[arg-type]
        error = pusher.failure()

        assert isinstance(error, Uncertain)
        assert len(fake.sink) == 1
        pusher.send()
    assert len(fake.sink) == (1 if kind == "push+https" else 2)  # which knows the idempotency key


def test_an_answer_of_fcm_cut_off_before_the_id_leaves_the_message_uncertain(tmp_path: Path) -> None:
    with service("fcm", tmp_path) as (given, fake, pusher):
        pusher.send()
        whole = len(Fcm.taken(1).octets)
        for octets in range(0, whole, 3):
            given.faults.append(server.answer_cut_at(octets))  # type: ignore[arg-type]
            assert isinstance(pusher.failure(), Uncertain)
        pusher.send()

    assert len(fake.sink) == 2 + len(range(0, whole, 3))


@OF_ALL
@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_server_error_after_the_message_is_uncertain(kind: str, status: int, tmp_path: Path) -> None:
    with service(kind, tmp_path) as (given, fake, pusher):
        warm(kind, pusher, fake)
        given.faults.append(answering(kind, status, b"oops"))
        error = pusher.failure()

    assert isinstance(error, Uncertain)
    assert error.receipt.reply_code == status


@OF_ALL
def test_a_requested_wait_delays_all_messages_unless_the_client_chose_the_server(kind: str, tmp_path: Path) -> None:
    with service(kind, tmp_path) as (given, fake, pusher):
        warm(kind, pusher, fake)
        given.faults.append(answering(kind, 429, b"{}", Retry_After="120"))
        error = pusher.failure()
        pause = pusher.provider.limits.pause(time.monotonic())

    assert isinstance(error, Throttled)
    assert error.retry_after == (120 if kind == "webpush" else None)
    assert pause == 0 if kind == "webpush" else 110 < pause <= 120


@OF_ALL
def test_a_redirect_is_not_followed(kind: str, tmp_path: Path) -> None:
    with service(kind, tmp_path) as (given, fake, pusher):
        warm(kind, pusher, fake)
        given.faults.append(answering(kind, 307, b"", Location=given.url))
        error = pusher.failure()

    assert isinstance(error, Deferred if kind == "webpush" else ProviderDown)
    assert not fake.sink


def test_an_unregistered_token_of_fcm_is_suppressed_and_a_bare_404_suppresses_nothing(tmp_path: Path) -> None:
    with service("fcm", tmp_path) as (given, fake, pusher):
        warm("fcm", pusher, fake)
        given.faults.append(answering("fcm", 404, UNREGISTERED))
        unregistered = pusher.failure()
        given.faults.append(answering("fcm", 404, {"error": {"code": 404, "status": "NOT_FOUND", "message": "No."}}))
        bare = pusher.failure()

    assert isinstance(unregistered, Refused)
    assert unregistered.suppress == 0
    assert "UNREGISTERED" in str(unregistered)
    assert isinstance(bare, ProviderDown)
    assert bare.suppress is None


def test_an_answer_of_apple_cut_off_anywhere_leaves_a_taken_message_uncertain(tmp_path: Path) -> None:
    with service("apns", tmp_path) as (given, fake, pusher):
        assert isinstance(given, Http2Server)
        pusher.send()
        whole = given.links[0].sent
        given.links[0].drop()
        ends = set()
        for octets in range(whole):
            fake.sink.clear()
            given.budget = octets
            error = pusher.failure()
            assert isinstance(error, Uncertain) if fake.sink else isinstance(error, Uncertain | ProviderDown)
            ends.add((type(error), len(fake.sink)))

    assert {(ProviderDown, 0), (Uncertain, 1)} <= ends


def registered_at(moment: str | None) -> Any:
    return MESSAGES["apns"]._replace(mail=None if moment is None else {"registeredAt": moment})


@pytest.mark.parametrize(
    ("registered", "suppress"),
    [
        (None, 0),
        ("2026-04-30T23:59:59Z", 0),
        ("2026-05-01T00:00:01Z", None),
        ("2026-05-01T02:00:01+02:00", None),
        ("2026-05-01T01:59:59+02:00", 0),
        ("2026-05-01t00:00:01z", None),
        ("2026-04-30T23:59:60.5Z", 0),
    ],
)
def test_a_token_ended_at_apple_is_suppressed_unless_registered_later(
    registered: str | None, suppress: int | None, tmp_path: Path
) -> None:
    with service("apns", tmp_path) as (given, _, pusher):
        given.faults.append(answering("apns", 410, {"reason": "Unregistered", "timestamp": MILLISECONDS}))
        error = pusher.failure(registered_at(registered))

    assert isinstance(error, Refused)
    assert error.suppress == suppress
    assert "2026-05-01" in str(error)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", {"reason": "Unregistered"[:5], "timestamp": MILLISECONDS}, {"timestamp": MILLISECONDS}, [1]],
)
def test_a_410_of_apple_without_its_reason_suppresses_nothing(body: object, tmp_path: Path) -> None:
    with service("apns", tmp_path) as (given, _, pusher):
        given.faults.append(answering("apns", 410, body))
        error = pusher.failure()

    assert isinstance(error, Refused)
    assert error.suppress is None


@pytest.mark.parametrize("timestamp", [2**62, -(2**62), "soon", None, True, 1.5])
def test_a_410_of_apple_with_an_invalid_time_still_suppresses_the_token(timestamp: object, tmp_path: Path) -> None:
    with service("apns", tmp_path) as (given, _, pusher):
        given.faults.append(answering("apns", 410, {"reason": "Unregistered", "timestamp": timestamp}))
        error = pusher.failure()

    assert isinstance(error, Refused)
    assert error.suppress == 0


@pytest.mark.parametrize("status", [404, 410])
def test_a_subscription_that_has_ended_is_suppressed(status: int, tmp_path: Path) -> None:
    with service("webpush", tmp_path) as (given, _, pusher):
        given.faults.append(answering("webpush", status, b"gone"))
        error = pusher.failure()

    assert isinstance(error, Refused)
    assert error.suppress == 0


def test_a_410_of_a_custom_service_suppresses_the_token(tmp_path: Path) -> None:
    with service("push+https", tmp_path) as (given, _, pusher):
        given.faults.append(answering("push+https", 410, b"gone: you said hush-hush"))
        error = pusher.failure()  # which looks for the token

    assert isinstance(error, Refused)
    assert error.suppress == 0


@pytest.mark.parametrize("status", [301, 400, 401, 403, 413, 421, 429, 500, 503, 599])
def test_no_server_that_a_client_chose_can_open_the_breaker(status: int, tmp_path: Path) -> None:
    with service("webpush", tmp_path) as (given, _, pusher):
        given.faults.append(answering("webpush", status, b"no"))
        error = pusher.failure()

    assert not isinstance(error, ProviderDown | Throttled)
    assert error.suppress is None


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>Welcome to our hotel</html>", b'{"name": 5}', b"null"])
def test_a_success_of_fcm_without_the_id_of_a_message_is_uncertain(body: bytes, tmp_path: Path) -> None:
    with service("fcm", tmp_path) as (given, fake, pusher):
        warm("fcm", pusher, fake)
        given.faults.append(answering("fcm", 200, body))
        error = pusher.failure()

    assert isinstance(error, Uncertain)


def test_an_answer_that_repeats_the_access_token_is_stored_without_it(tmp_path: Path) -> None:
    with service("fcm", tmp_path) as (given, fake, pusher):
        warm("fcm", pusher, fake)
        given.faults.append(answering("fcm", 400, {"error": {"message": "you sent Bearer token-1"}}))
        error = pusher.failure()  # which looks for it

    assert "***" in str(error)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest",
        "https://127.0.0.1:8443/",
        "https://[::ffff:10.0.0.1]/",
        "https://localhost/",
        "https://nowhere.invalid/",
    ],
)
def test_a_url_with_an_internal_address_is_not_called(url: str, tmp_path: Path) -> None:
    with service("webpush", tmp_path) as (given, fake, pusher):
        pusher.close()
        guarded = type(pusher)("webpush", f"webpush://ops%40example.com?key={tmp_path}/webpush.pem")
        error = guarded.failure(MESSAGES["webpush"]._replace(recipient=f"webpush:{url}"))
        guarded.close()

    assert isinstance(error, Deferred)
    assert error.receipt.phase == "resolve"
    assert not given.requests
    assert not fake.sink


Faults = dict[str, Callable[[http2_server.Exchange], None]]
NOT_PROCESSED: Faults = {
    "goaway": http2_server.goaway_before,
    "refused stream": http2_server.reset(ErrorCodes.REFUSED_STREAM),
}


@pytest.mark.parametrize("name", sorted(NOT_PROCESSED))
def test_a_message_that_apple_has_not_processed_is_deferred_and_the_next_arrives(name: str, tmp_path: Path) -> None:
    with service("apns", tmp_path) as (given, fake, pusher):
        assert isinstance(given, Http2Server)
        given.faults.append(NOT_PROCESSED[name])
        error = pusher.failure()
        assert not fake.sink
        pusher.send()

    assert isinstance(error, Deferred)
    assert len(fake.sink) == 1


def test_a_message_up_to_the_last_stream_is_answered_after_goaway(tmp_path: Path) -> None:
    with service("apns", tmp_path) as (given, fake, pusher):
        assert isinstance(given, Http2Server)
        given.faults.append(http2_server.goaway_then_answer)
        receipt = pusher.send()
        pusher.send()

        assert given.connections == 2
    assert receipt.reply_code == 200
    assert len(fake.sink) == 2


@pytest.mark.parametrize("fault", [http2_server.goaway_then_drop, http2_server.reset(ErrorCodes.INTERNAL_ERROR)])
def test_a_message_up_to_the_last_stream_without_an_answer_is_uncertain(fault: Any, tmp_path: Path) -> None:
    with service("apns", tmp_path) as (given, _, pusher):
        given.faults.append(fault)
        error = pusher.failure()

    assert isinstance(error, Uncertain)


@pytest.mark.parametrize(
    "fault",
    [
        http2_server.head_only(b"200"),
        http2_server.head_only(b"abc"),
        http2_server.head_only(b"200", b"\xff"),
        http2_server.head_only(b""),
    ],
)
def test_an_answer_of_apple_without_its_end_or_its_status_is_uncertain(fault: Any, tmp_path: Path) -> None:
    with service("apns", tmp_path) as (given, fake, pusher):
        given.faults.append(fault)
        error = pusher.failure()

    assert isinstance(error, Uncertain)
    assert len(fake.sink) == 1


def test_an_answer_that_comes_twice_changes_nothing(tmp_path: Path) -> None:
    with service("apns", tmp_path) as (given, fake, pusher):
        assert isinstance(given, Http2Server)
        given.faults.append(http2_server.answer_twice)
        receipt = pusher.send()
        pusher.send()

    assert receipt.reply_code == 200
    assert len(fake.sink) == 2


def test_a_server_that_does_not_answer_occupies_half_of_the_senders_and_then_rests(
    tmp_path: Path,
) -> None:
    with service("webpush", tmp_path, IMPATIENT) as (given, fake, pusher):
        message = MESSAGES["webpush"]
        other = message._replace(recipient="webpush:https://other.example.com/1")
        half = CONNECTIONS // 2
        given.faults.extend([server.hang_before] * half)  # type: ignore[list-item]
        started = [pusher.start() for _ in range(half)]
        eventually(lambda: not pusher.provider.ready(message))
        assert pusher.provider.ready(other)
        for one in started:
            assert isinstance(one.exception(60), Uncertain)
        resting = pusher.failure()
        pusher.send(other)

    assert isinstance(resting, Deferred)
    assert resting.receipt.phase == "rest"
    assert len(fake.sink) == 1
