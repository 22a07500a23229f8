"""Deliveries through a real Postfix."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client import NOTIFICATIONS
from tests.eventually import eventually
from tests.servers.stock_postfix import UNKNOWN, StockPostfix
from tests.system import System

pytestmark = pytest.mark.long

FINAL = ("sent", "failed", "cancelled")

Start = Callable[[str], System]


@pytest.fixture
def start(tmp_path: Path, stock_database_url: str, stock_redis_url: str) -> Iterator[Start]:
    """Starts the API and workers that deliver to this SMTP_URL."""
    started: list[System] = []

    def begin(smtp_url: str) -> System:
        system = System(tmp_path, database_url=stock_database_url, redis_url=stock_redis_url, smtp_url=smtp_url)
        started.append(system)
        system.start_api()
        system.start_workers()
        return system

    try:
        yield begin
    finally:
        for system in started:
            system.stop()


def ended(system: System, recipient: str, **fields: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Send a notification and return it and its attempts once it has ended."""
    document = {"type": "email", "recipient": recipient, "message": "Hello", **fields}
    answer = system.client.post(NOTIFICATIONS, document)
    assert answer.status == 201, answer
    id = answer.json["id"]
    eventually(lambda: system.client.notification(id)["status"] in FINAL, within=30, saying=system.logs)
    return system.client.notification(id), system.client.get(f"{NOTIFICATIONS}/{id}/attempts").json["items"]


def test_a_mail_arrives_once_and_its_attempt_has_the_queue_id(start: Start, stock_postfix: StockPostfix) -> None:
    system = start(stock_postfix.url)

    found, [attempt] = ended(system, "anna@example.com", subject="Grüße aus Köln", message="Schöne Grüße ☀\n.\nEnde")

    assert (found["status"], attempt["outcome"]) == ("sent", "sent")
    queued = re.search(r"2\.0\.0 Ok: queued as (\w+)", attempt["text"])
    assert queued, attempt
    [mail] = eventually(lambda: stock_postfix.mails("anna@example.com"), saying=lambda: stock_postfix.log)
    assert mail["Subject"] == "Grüße aus Köln"
    assert mail.get_content().splitlines() == ["Schöne Grüße ☀", ".", "Ende"]
    assert queued[1] in mail["Received"]


def test_many_mails_arrive_once_each_over_reused_connections(start: Start, stock_postfix: StockPostfix) -> None:
    system = start(stock_postfix.url)
    recipients = [f"many{number}@example.com" for number in range(40)]
    for recipient in recipients:
        document = {"type": "email", "recipient": recipient, "message": "Hello"}
        assert system.client.post(NOTIFICATIONS, document).status == 201

    eventually(
        lambda: all(map(stock_postfix.mails, recipients)),
        within=60,
        saying=lambda: stock_postfix.log + system.logs(),
    )

    assert [len(stock_postfix.mails(recipient)) for recipient in recipients] == [1] * len(recipients)


def test_a_recipient_that_postfix_refuses_fails_at_once_with_its_reply(
    start: Start, stock_postfix: StockPostfix
) -> None:
    system = start(stock_postfix.url)

    found, [attempt] = ended(system, UNKNOWN)

    assert (found["status"], found["failureReason"]) == ("failed", "rejected")
    assert attempt["outcome"] == "refused"
    words = f"550 5.1.1 <{UNKNOWN}>: Recipient address rejected: User unknown in virtual mailbox table"
    assert words in attempt["text"]
    assert stock_postfix.mails(UNKNOWN) == []


def test_a_mail_to_a_non_ascii_address_arrives_with_smtputf8(start: Start, stock_postfix: StockPostfix) -> None:
    system = start(stock_postfix.url)

    found, _ = ended(system, "jürgen@example.com", subject="Grüße")

    assert found["status"] == "sent"
    [mail] = eventually(lambda: stock_postfix.mails("jürgen@example.com"), saying=lambda: stock_postfix.log)
    assert mail["Subject"] == "Grüße"


def test_without_smtputf8_a_non_ascii_address_fails_and_the_next_mail_arrives(
    start: Start, stock_postfix: StockPostfix
) -> None:
    system = start(stock_postfix.plain_url)

    found, [attempt] = ended(system, "jörg@example.com")
    other, _ = ended(system, "berta@example.com", subject="Grüße", message="Schön")

    assert (found["status"], found["failureReason"], attempt["outcome"]) == ("failed", "rejected", "refused")
    assert "SMTPUTF8" in attempt["text"]
    assert other["status"] == "sent"
    [mail] = eventually(lambda: stock_postfix.mails("berta@example.com"), saying=lambda: stock_postfix.log)
    assert (mail["Subject"], mail.get_content().strip()) == ("Grüße", "Schön")
