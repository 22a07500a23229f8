"""The local providers of `notify up`, which store messages in the inbox."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from actors.channels.webhook.url_guard import Target
from api.dashboard.mailbox import Mailbox, content, summary
from cli.up import kept_port
from cli.up.chat_fake import PLACES
from cli.up.fakes import Fakes
from cli.up.mailbox import Slot
from cli.up.push_fake import PUSH
from cli.up.sms_fake import SMS
from settings import read
from settings.http_account import HttpAccount


@pytest.fixture
def fakes(tmp_path: Path) -> Iterator[Fakes]:
    one = Fakes(Slot(tmp_path, keep=100), [SMS, PUSH])
    one.start()
    yield one
    one.stop()


def post(fakes: Fakes, path: str, body: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", fakes.port, timeout=10)
    try:
        connection.request("POST", path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def sms(text: str, to: str = "+41791234567", sender: str | None = None) -> bytes:
    return json.dumps({"to": to, "from": sender, "text": text, "encoding": "gsm-7", "segments": 1}).encode()


def test_a_text_message_is_shown_in_the_inbox(fakes: Fakes, tmp_path: Path) -> None:
    assert post(fakes, "/sms", sms("Zoë, Zeile 1\r\nZeile 2", sender="ACME")) == (200, b'{"id":"inbox-1"}')

    mail = Mailbox(tmp_path).read(1)
    assert mail is not None
    found = summary(1, mail)
    assert (found["from"], found["to"]) == ("ACME", ["+41791234567"])
    assert found["subject"] == "[sms] Zoë, Zeile 1 Zeile 2"
    assert (content(mail)["text"] or "").splitlines() == ["Zoë, Zeile 1", "Zeile 2"]


def test_a_push_message_is_shown_in_the_inbox(fakes: Fakes, tmp_path: Path) -> None:
    message = {"recipient": "fcm:abc", "title": "Hi", "body": "Hello", "data": {"order": "7"}, "id": "1"}
    assert post(fakes, "/push", json.dumps(message).encode()) == (200, b'{"id":"inbox-1"}')
    for body in (b"[]", b'{"recipient": "fcm:abc"}', b'{"recipient": 1, "body": "x"}'):
        assert post(fakes, "/push", body)[0] == 400

    mail = Mailbox(tmp_path).read(1)
    assert mail is not None
    assert summary(1, mail)["to"] == ["fcm:abc"]
    shown = (content(mail)["text"] or "").splitlines()
    assert shown[:3] == ["Hi", "", "Hello"]
    assert '    "order": "7"' in shown


def test_the_account_of_the_catcher_is_accepted_by_workers(fakes: Fakes) -> None:
    push, provider = read(fakes.environment).named_providers

    assert isinstance(push.account, HttpAccount)
    assert push.account.url == f"http://127.0.0.1:{fakes.port}/push"
    assert isinstance(provider.account, HttpAccount)
    assert provider.account.url == f"http://127.0.0.1:{fakes.port}/sms"
    assert dict(parse_qsl(urlsplit(fakes.environment["PROVIDER_SMS"]).query))["endpoint"] == provider.account.url


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"to": 1, "text": "x"}', b'{"to": "x"}', b"x" * 1_000_001])
def test_a_malformed_request_is_refused_and_nothing_is_stored(fakes: Fakes, tmp_path: Path, body: bytes) -> None:
    assert post(fakes, "/sms", body)[0] == 400
    assert post(fakes, "/elsewhere", sms("x"))[0] == 404
    assert Mailbox(tmp_path).numbers() == []


def test_messages_that_come_at_the_same_time_get_numbers_of_their_own(fakes: Fakes, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda n: post(fakes, "/sms", sms(f"text {n}")), range(40)))

    assert {status for status, _ in answers} == {200}
    assert Mailbox(tmp_path).numbers() == list(range(1, 41))


def test_a_stop_ends_open_connections_and_a_new_start_has_the_same_port(fakes: Fakes) -> None:
    before = fakes.port
    connection = http.client.HTTPConnection("127.0.0.1", before, timeout=10)
    connection.request("POST", "/sms", sms("x"))
    assert connection.getresponse().status == 200

    fakes.stop()

    assert not fakes.alive
    connection.close()
    fakes.start()
    assert fakes.port == before
    assert post(fakes, "/sms", sms("again"))[0] == 200


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Fakes]:
    one = Fakes(Slot(tmp_path, keep=100), PLACES)
    one.start()
    yield one
    one.stop()


@pytest.mark.parametrize(
    ("path", "body", "subject"),
    [
        ("/chat", {"text": "*Disk*\na &lt;b&gt; &amp;lt;"}, "[chat] *Disk* a <b> &lt;"),
        ("/chat", {"content": "Hello"}, "[chat] Hello"),
        ("/webhook", {"type": "order.shipped", "data": 1}, '[webhook] { "type": "order.shipped", "data": 1 }'),
    ],
)
def test_chat_messages_and_webhooks_are_shown_in_the_inbox(
    places: Fakes, tmp_path: Path, path: str, body: object, subject: str
) -> None:
    assert post(places, path, json.dumps(body).encode()) == (200, b"ok")
    mail = Mailbox(tmp_path).read(1)
    assert mail is not None
    assert summary(1, mail)["subject"] == subject


@pytest.mark.parametrize(("path", "body"), [("/chat", b"[]"), ("/chat", b"{"), ("/chat", b"{}"), ("/webhook", b"")])
def test_a_request_that_is_no_message_is_refused(places: Fakes, path: str, body: bytes) -> None:
    assert post(places, path, body)[0] == 400


def test_the_settings_allow_requests_to_the_catcher(places: Fakes) -> None:
    settings = read(places.environment)
    assert Target.parse(f"http://127.0.0.1:{places.port}/chat", settings.callbacks.networks).port == places.port


def test_the_port_stays_from_run_to_run_unless_it_is_taken(places: Fakes, tmp_path: Path) -> None:
    path = tmp_path / "fakes.port"
    assert kept_port.last(path) == 0
    kept_port.keep(path, places.port)
    assert kept_port.last(path) == 0
    port = places.port
    places.stop()
    assert kept_port.last(path) == port
    for nonsense in ("", "x", "99999", "-1", "9" * 100):
        path.write_text(nonsense)
        assert kept_port.last(path) == 0
