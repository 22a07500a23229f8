"""The meaning of the answers of chat services: all rows of the tables in docs/chat.md, and the requested waits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from multidict import CIMultiDict

from actors.channels import Deferred, Receipt, Refused, Throttled, Uncertain, Undelivered
from actors.channels.chat import discord, slack, teams, telegram
from actors.channels.chat.services import Api
from actors.channels.destination_answers import LONGEST_WAIT, SHORTEST_WAIT, USUAL_WAIT, seconds
from actors.channels.webhook.http_client import Answer

PAGE = Path(__file__).parents[2] / "docs" / "chat.md"
APIS: dict[str, Api] = {"Slack": slack, "Discord": discord, "Telegram": telegram, "Teams": teams}
KINDS = {"rejected": Refused, "throttled": Throttled, "deferred": Deferred, "uncertain": Uncertain}


class Row(NamedTuple):
    """A documented answer."""

    service: str
    status: int
    body: str
    outcome: str


def documented() -> Iterator[Row]:
    for section in PAGE.read_text().split("\n### ")[1:]:
        title, _, content = section.partition("\n")
        for line in content.splitlines():
            if found := re.fullmatch(r"\| (\d{3}) \| (?:`(.*)` )?\| ([a-z]+) \|", line):
                yield Row(title, int(found[1]), found[2] or "", found[3])


ROWS = list(documented())


def answer(status: int, body: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, "Said", body.encode(), CIMultiDict(named))


def error(api: Api, answer: Answer) -> Undelivered:
    with pytest.raises(Undelivered) as caught:
        api.judge(answer)
    return caught.value


def test_every_chat_service_has_a_table_of_answers() -> None:
    assert {row.service for row in ROWS} == set(APIS)
    assert all(sum(row.service == service for row in ROWS) >= 8 for service in APIS)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_documented_answer_has_the_documented_outcome(row: Row) -> None:
    given = answer(row.status, row.body)
    if row.outcome == "sent":
        assert APIS[row.service].judge(given).reply_code == row.status
        return
    raised = error(APIS[row.service], given)
    assert isinstance(raised, KINDS[row.outcome])
    assert raised.receipt.phase == "answer"
    assert raised.receipt.text.isprintable()


@pytest.mark.parametrize("service", APIS)
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, Deferred) for status in (301, 302, 307, 408, 425, 503)),
        *((status, Refused) for status in (401, 402, 403, 404, 405, 410, 413, 418, 422)),
        *((status, Uncertain) for status in (500, 501, 502, 504, 599)),
        (429, Throttled),
    ],
)
def test_the_status_decides_if_the_body_has_no_known_error(service: str, status: int, kind: type[Undelivered]) -> None:
    for body in ("", "<html>", "[]", "{", '{"a":' * 5_000, "\x1b[31m\0"):
        raised = error(APIS[service], answer(status, body))
        assert type(raised) is kind, body
        assert raised.receipt.text.isprintable()
        assert len(raised.receipt.text) <= 500


@pytest.mark.parametrize("service", ["Slack", "Telegram"])
@pytest.mark.parametrize("body", ["", "<html>", "[]", "null", '{"ok":1}', '{"ok":"true"}', '{"result":{}}'])
def test_a_200_without_a_known_body_may_come_from_a_proxy(service: str, body: str) -> None:
    assert type(error(APIS[service], answer(200, body))) is Uncertain


def test_the_receipt_contains_the_id_of_the_message() -> None:
    assert discord.judge(answer(200, '{"id":"77"}')) == Receipt("answer", 200, None, "200 posted as 77", "77")
    assert telegram.judge(answer(200, '{"ok":true,"result":{"message_id":7}}')).text == "200 posted as 7"
    assert telegram.judge(answer(200, '{"ok":true,"result":[]}')).reply_code == 200


@pytest.mark.parametrize(
    ("service", "given", "wait"),
    [
        ("Slack", answer(429, "rate_limited", Retry_After="30"), 30.0),
        ("Slack", answer(429, "rate_limited", retry_after="1.5"), 1.5),
        ("Slack", answer(200, '{"ok":false,"error":"ratelimited"}', Retry_After="7"), 7.0),
        ("Slack", answer(429, ""), USUAL_WAIT),
        ("Slack", answer(503, "", Retry_After="9"), 9.0),
        ("Discord", answer(429, '{"retry_after":0.376}'), 0.376),
        ("Discord", answer(429, '{"retry_after":376}', X_RateLimit_Reset_After="0.376"), 0.376),
        ("Discord", answer(429, "<html>", Retry_After="2"), 2.0),
        ("Discord", answer(400, '{"code":20016,"retry_after":4.5}'), 4.5),
        ("Telegram", answer(429, '{"ok":false,"error_code":429,"parameters":{"retry_after":8}}'), 8.0),
        ("Telegram", answer(200, '{"ok":false,"error_code":429,"parameters":{"retry_after":8}}'), 8.0),
        ("Telegram", answer(429, '{"ok":false,"parameters":{"retry_after":"soon"}}', Retry_After="3"), 3.0),
        ("Teams", answer(429, "", Retry_After="12"), 12.0),
    ],
)
def test_the_wait_that_a_service_asks_for_is_kept(service: str, given: Answer, wait: float) -> None:
    raised = error(APIS[service], given)
    assert isinstance(raised, Throttled)
    assert raised.retry_after == wait


@pytest.mark.parametrize(
    ("given", "wait"),
    [
        (0, SHORTEST_WAIT),
        (-5, SHORTEST_WAIT),
        ("0.001", SHORTEST_WAIT),
        (10**30, LONGEST_WAIT),
        ("9" * 400, None),
        ("inf", None),
        ("nan", None),
        ("soon", None),
        ("", None),
        (True, None),
        (None, None),
        ([], None),
        ("Mon, 01 Jan 2001 00:00:00 GMT", SHORTEST_WAIT),
    ],
)
def test_a_wait_is_a_number_within_bounds(given: object, wait: float | None) -> None:
    assert seconds(given) == wait


def test_a_wait_may_be_a_date() -> None:
    wait = seconds(format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True))
    assert wait is not None
    assert 80 < wait < 101


def test_the_new_id_of_a_group_that_became_a_supergroup_is_reported() -> None:
    moved = error(telegram, answer(400, '{"ok":false,"parameters":{"migrate_to_chat_id":-1009}}'))
    assert isinstance(moved, telegram.ChatMoved)
    assert (moved.chat_id, moved.retry_after) == ("-1009", 1.0)


@pytest.mark.parametrize("chat", ['"@elsewhere"', "1.5", "[]", "{}"])
def test_an_invalid_new_id_of_a_chat_is_ignored(chat: str) -> None:
    raised = error(telegram, answer(400, f'{{"ok":false,"parameters":{{"migrate_to_chat_id":{chat}}}}}'))
    assert type(raised) is Refused


def test_discord_gets_no_request_until_its_used_up_rate_window_ends() -> None:
    assert discord.pause(answer(200, "", X_RateLimit_Remaining="0", X_RateLimit_Reset_After="1.25")) == 1.25
    assert discord.pause(answer(200, "", X_RateLimit_Remaining="1", X_RateLimit_Reset_After="1.25")) == 0.0
    assert discord.pause(answer(200, "", X_RateLimit_Remaining="0")) == 0.0
    assert discord.pause(answer(200, "")) == 0.0
