"""Sending of webhooks: the request, its signature, and the outcome of each answer."""

from __future__ import annotations

import pytest
from standardwebhooks import Webhook

from actors.channels import Deferred, Refused, Throttled, Uncertain
from db import destinations
from tests.hooks import OK, Hooks, saying, status
from tests.integration.calling import hooks
from tests.integration.chatting import SECRET, Make, make, to

__all__ = ["hooks", "make"]

NOTIFICATION = to("orders", "webhook", subject="order.shipped", message='{"z":"Grüße","a":1e30}')


@pytest.fixture
def orders(hooks: Hooks, store: object) -> Hooks:
    """A server that is the destination orders."""
    destinations.create(destinations.New(1, "orders", "webhook", hooks.url, secret=SECRET), 10)
    return hooks


def fresh() -> str:
    """Return the secret of the destination after its rotation."""
    new = "whsec_bmV3c2VjcmV0bmV3c2VjcmV0bmV3c2VjcmV0"
    destinations.rotate(1, "orders", new, 60)
    return new


def test_a_webhook_is_posted_and_signed(make: Make, orders: Hooks) -> None:
    receipt = make("webhook").send(NOTIFICATION)
    [post] = orders.posts
    data = NOTIFICATION.message
    assert post.body.decode() == f'{{"type":"order.shipped","timestamp":"2024-01-01T00:00:00Z","data":{data}}}'
    assert post.headers["webhook-id"] == "msg_7"
    assert post.headers["content-type"] == "application/json"
    Webhook(SECRET).verify(post.body, post.headers)
    assert receipt.text == "200 OK OK"


def test_both_secrets_sign_after_a_rotation(make: Make, orders: Hooks) -> None:
    new = fresh()
    make("webhook").send(NOTIFICATION)
    [post] = orders.posts
    for secret in (SECRET, new):
        Webhook(secret).verify(post.body, post.headers)


def test_each_attempt_has_the_same_id_and_body(make: Make, orders: Hooks) -> None:
    sender = make("webhook")
    sender.send(NOTIFICATION)
    sender.send(NOTIFICATION._replace(claim=2, retry_count=1))
    first, second = orders.posts
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])


@pytest.mark.parametrize("code", [300, 400, 401, 404, 418, 429, 500, 503, 599])
def test_any_other_status_is_retried(make: Make, orders: Hooks, code: int) -> None:
    orders.answer = status(code, body="no\r\n\x1b[31mway")
    assert type(make("webhook").failure(NOTIFICATION)) is Deferred


def test_a_410_fails_the_notification(make: Make, orders: Hooks) -> None:
    orders.answer = status(410, body="stop")
    assert isinstance(make("webhook").failure(NOTIFICATION), Refused)


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_of_a_server_is_kept(make: Make, orders: Hooks, code: int) -> None:
    orders.answer = status(code, "Retry-After: 1.5")
    asked = make("webhook").failure(NOTIFICATION)
    assert isinstance(asked, Throttled)
    assert asked.retry_after == 1.5


def test_a_request_without_an_answer_is_uncertain(make: Make, orders: Hooks) -> None:
    orders.answer = orders.hang
    assert isinstance(make("webhook", callback_timeout=2).failure(NOTIFICATION), Uncertain)
    orders.answer = saying(OK)
    make("webhook").send(NOTIFICATION)


def test_a_chat_destination_takes_no_webhooks(make: Make, hooks: Hooks) -> None:
    destinations.create(destinations.New(1, "orders", "slack", hooks.url), 10)
    assert isinstance(make("webhook").failure(NOTIFICATION), Refused)
    assert not hooks.connections
