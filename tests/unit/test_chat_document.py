"""Documents of chat messages and webhooks: what is stored, what answers show, and the faults that a schema misses."""

from __future__ import annotations

from typing import Any

import pytest

from actors.channels.chat import document as chat
from actors.channels.contract import Content, Rights
from actors.channels.webhook import document as webhook
from api.schemas.documents import Documents
from settings import Settings

DOCUMENTS = Documents(Settings())
CHAT = {"type": "chat", "recipient": "alerts", "message": "Hello"}
WEBHOOK = {"type": "webhook", "recipient": "orders", "payload": {"a": 1}}


def content(document: dict[str, Any]) -> Content:
    assert DOCUMENTS.faults(document, Rights()) == []
    found, faults = DOCUMENTS.read(document, Rights())
    assert faults == []
    assert found is not None
    return found


def faults(document: dict[str, Any]) -> dict[str, str]:
    found = DOCUMENTS.faults(document, Rights()) or DOCUMENTS.read(document, Rights()).faults
    return {fault["pointer"]: fault["detail"] for fault in found}


def test_a_message_has_no_title_unless_it_is_given() -> None:
    assert content(CHAT) == Content("alerts", "", "Hello")
    assert content({**CHAT, "subject": "Disk"}).subject == "Disk"


@pytest.mark.parametrize("data", [{}, {"z": 1, "a": [1e30, None, "\0", "Grüße"]}])
def test_data_are_shown_as_they_were_given(data: dict[str, Any]) -> None:
    options = content({**CHAT, "data": data}).options
    assert options is not None
    shown = chat.shown(options)["data"]
    assert shown == data
    assert list(shown) == list(data)


def test_a_message_without_data_shows_none() -> None:
    assert chat.shown(None) == {"data": None}


@pytest.mark.parametrize("payload", [None, 0, False, "", "\0", [], {"z": 1, "a": 1e30}, [{"Grüße": None}]])
def test_a_payload_is_any_json_and_shown_as_it_was_given(payload: Any) -> None:
    stored = content({**WEBHOOK, "payload": payload})
    assert "\0" not in stored.message
    assert webhook.shown(stored.options, stored.message) == {"payload": payload}


def test_an_erased_webhook_has_no_payload() -> None:
    assert webhook.shown(None, "") == {"payload": None}


def test_the_event_is_the_subject_of_a_webhook() -> None:
    assert content({**WEBHOOK, "event": "order.shipped"}) == Content("orders", "order.shipped", '{"a":1}')


@pytest.mark.parametrize(
    ("document", "wrong"),
    [
        ({**CHAT, "recipient": "a b"}, "/recipient"),
        ({**CHAT, "recipient": "ann@example.com"}, "/recipient"),
        ({**CHAT, "message": ""}, "/message"),
        ({**CHAT, "message": "a\0"}, "/message"),
        ({**CHAT, "message": "x" * 40_001}, "/message"),
        ({**CHAT, "subject": "a\r\nb"}, "/subject"),
        ({**CHAT, "data": []}, "/data"),
        ({**CHAT, "data": {"x": "y" * 66_000}}, "/data"),
        ({**CHAT, "payload": 1}, "/payload"),
        ({**CHAT, "cc": []}, "/cc"),
        ({"type": "chat"}, "/recipient"),
        ({**WEBHOOK, "message": "x"}, "/message"),
        ({**WEBHOOK, "template": "x"}, "/template"),
        ({**WEBHOOK, "event": ""}, "/event"),
        ({**WEBHOOK, "event": "a\nb"}, "/event"),
        ({**WEBHOOK, "payload": "x" * 262_143}, "/payload"),
        ({"type": "webhook", "recipient": "orders"}, "/payload"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_fault_names_its_field(document: dict[str, Any], wrong: str) -> None:
    assert wrong in faults(document)


@pytest.mark.parametrize("kind", chat.KINDS)
def test_each_chat_service_takes_a_short_message(kind: str) -> None:
    assert chat.faults_at(kind, content(CHAT)) == []
    [fault] = webhook.faults_at(kind, content(WEBHOOK))
    assert "type chat" in fault["detail"]


def test_a_webhook_takes_no_message() -> None:
    [fault] = chat.faults_at("webhook", content(CHAT))
    assert fault["pointer"] == "/recipient"
    assert "type webhook" in fault["detail"]
    assert webhook.faults_at("webhook", content(WEBHOOK)) == []


def test_a_text_above_the_limit_of_a_service_is_refused_with_that_limit() -> None:
    [fault] = chat.faults_at("discord", content({**CHAT, "message": "x" * 2_001}))
    assert fault["pointer"] == "/message"
    assert "2001 characters, of at most 2000" in fault["detail"]
