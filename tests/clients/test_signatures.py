"""Callbacks are verified; nothing that a stranger sends raises anything but InvalidSignature."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from notification_client import InvalidSignature, verify_callback

SECRET, OTHER = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"
DATA = {"id": 7, "type": "email", "recipient": "a@example.com", "status": "sent", "new": 1}
BODY = json.dumps({"type": "notification.sent", "timestamp": "2024-01-01T10:00:00Z", "data": DATA}).encode()


def signed(secret: str = SECRET, at: float | None = None, body: bytes = BODY) -> dict[str, str]:
    """Return the headers that an independent implementation of the standard makes."""
    moment = int(time.time() if at is None else at)
    signature = Webhook(secret).sign("msg_1", datetime.fromtimestamp(moment, UTC), body.decode())
    return {"webhook-id": "msg_1", "webhook-timestamp": str(moment), "webhook-signature": signature}


def test_a_genuine_callback_is_returned() -> None:
    event = verify_callback(SECRET, {name.title(): value for name, value in signed().items()}, BODY)

    assert (event.id, event.type, event.data["new"]) == ("msg_1", "notification.sent", 1)
    assert event.notification is not None
    assert (event.notification.id, event.notification.status) == (7, "sent")


def test_a_callback_of_a_later_version_that_is_not_about_a_notification_is_returned() -> None:
    body = b'{"type": "callback.later", "timestamp": "2024-01-01T10:00:00Z", "data": {"endpointId": 3}}'

    event = verify_callback(SECRET, signed(body=body), body)

    assert (event.type, event.data, event.notification) == ("callback.later", {"endpointId": 3}, None)


def test_during_a_rotation_both_secrets_verify() -> None:
    both = signed() | {"webhook-signature": f"{signed(OTHER)['webhook-signature']} {signed()['webhook-signature']}"}

    assert verify_callback(SECRET, both, BODY).id == "msg_1"
    assert verify_callback([OTHER, SECRET], signed(), BODY).id == "msg_1"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (signed(OTHER), BODY),
        (signed(), BODY + b" "),
        (signed(at=time.time() - 301), BODY),
        (signed(at=time.time() + 3_000), BODY),
        (signed() | {"webhook-id": "msg_2"}, BODY),
        ({}, BODY),
    ],
)
def test_a_forged_or_old_callback_is_refused(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(InvalidSignature):
        verify_callback(SECRET, headers, body)


@pytest.mark.parametrize("body", [b"[]", b"no JSON", b"{}", b'{"type": "notification.sent"}', b'{"type": 1}'])
def test_a_signed_body_that_is_no_callback_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidSignature, match="not that of a callback"):
        verify_callback(SECRET, signed(body=body), body)


@given(st.text(), st.one_of(st.text(), st.just(str(int(time.time())))), st.text(), st.binary())
def test_any_forged_request_raises_the_same_error(id: str, at: str, signature: str, body: bytes) -> None:
    with pytest.raises(InvalidSignature):
        verify_callback(SECRET, {"webhook-id": id, "webhook-timestamp": at, "webhook-signature": signature}, body)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_###"])
def test_a_malformed_secret_raises_an_error_of_the_caller(secret: str) -> None:
    with pytest.raises(ValueError, match="begins with whsec_"):
        verify_callback(secret, signed(), BODY)
