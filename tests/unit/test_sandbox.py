"""The sandbox: the recipient decides the outcome."""

from __future__ import annotations

import asyncio

import pytest

from actors.channels import Deferred, Refused, Uncertain, Undelivered
from actors.channels.sandbox.channel import Sandbox
from tests.integration.mailing import notification


def outcome(recipient: str, retry_count: int = 0) -> str:
    """Return the outcome that the record of an attempt would have."""
    try:
        asyncio.run(Sandbox().send(notification(recipient=recipient, retry_count=retry_count, sandbox=True)))
    except Undelivered as undelivered:
        return undelivered.outcome
    return "sent"


@pytest.mark.parametrize(
    ("recipient", "first", "second"),
    [
        ("delivered@example.com", "sent", "sent"),
        ("refused@example.com", "refused", "refused"),
        ("deferred@example.com", "deferred", "sent"),
        ("timeout@example.com", "deferred", "deferred"),
        ("unknown@example.com", "uncertain", "sent"),
        ("anybody@example.com", "sent", "sent"),
        ("refused@another.example", "refused", "refused"),
        ("Refused+7@example.com", "refused", "refused"),
        ("not.refused@example.com", "sent", "sent"),
        ("ann@refused", "sent", "sent"),
        ("fcm:refused", "refused", "refused"),
        ("fcm:deferred-7", "deferred", "sent"),
        ("fcm:abc:refused", "sent", "sent"),
        ("apns:" + "0" * 63 + "3", "deferred", "deferred"),
        ("apns:" + "0" * 63 + "4", "uncertain", "sent"),
        ("apns:" + "0" * 63 + "5", "sent", "sent"),
        ("webpush:https://refused.example.com/1", "refused", "refused"),
        ("webpush:https://example.com/refused", "sent", "sent"),
        ("+15005550001", "refused", "refused"),
        ("+15005550002", "deferred", "sent"),
        ("+15005550003", "deferred", "deferred"),
        ("+15005550004", "uncertain", "sent"),
        ("+41791234567", "sent", "sent"),
    ],
)
def test_the_recipient_decides_the_simulated_outcome(recipient: str, first: str, second: str) -> None:
    assert (outcome(recipient), outcome(recipient, retry_count=1)) == (first, second)


def test_a_refusal_of_the_sandbox_has_the_receipt_of_a_mail_server() -> None:
    with pytest.raises(Refused) as refused:
        asyncio.run(Sandbox().send(notification(recipient="refused@example.com")))

    assert refused.value.receipt[:3] == ("rcpt", 550, "5.1.1")


@pytest.mark.parametrize("recipient", ["delivered@example.com", "unknown@example.com"])
def test_a_notification_that_another_worker_has_taken_over_is_not_sent(recipient: str) -> None:
    async def begin() -> bool:
        return False

    with pytest.raises(Deferred, match="another worker"):
        asyncio.run(Sandbox().send(notification(recipient=recipient), begin))


def test_begin_is_called_before_an_uncertain_outcome() -> None:
    begun: list[bool] = []

    async def begin() -> bool:
        begun.append(True)
        return True

    with pytest.raises(Uncertain):
        asyncio.run(Sandbox().send(notification(recipient="unknown@example.com"), begin))

    assert begun == [True]


@pytest.mark.parametrize("recipient", ["refused@example.com", "timeout@example.com"])
def test_begin_is_not_called_before_a_refusal_that_precedes_the_content(recipient: str) -> None:
    async def begin() -> bool:
        raise AssertionError("the content was begun")

    with pytest.raises(Undelivered):
        asyncio.run(Sandbox().send(notification(recipient=recipient), begin))
