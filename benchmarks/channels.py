"""Channels besides e-mail: how the benchmarks send through them, and what is in a message."""

from __future__ import annotations

import http.client
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from benchmarks.http_sink import HttpMailboxClient
from benchmarks.mailbox import MailboxClient
from benchmarks.processes import Part
from benchmarks.target import ROOT
from tests.providers.push_keys import service_account

M = TypeVar("M", bound=MailboxClient)

PLACES = 10  # destinations of chat messages and webhooks
SECRET = "whsec_YmVuY2htYXJrYmVuY2htYXJrYmVuY2htYXJr"
BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel. `document` makes the notification number n, `environment` the variables of its account.

    `places`: the kind of its destinations, if it has any.
    """

    name: str
    document: Callable[[int], dict[str, Any]]
    environment: Callable[[str, Path], Mapping[str, str]]
    places: str = ""


def _text(number: int) -> str:
    return f"N{number}N"  # what benchmarks.http_sink looks for


CHANNELS = {
    "sms": Channel(
        "sms",
        lambda n: {"type": "sms", "recipient": f"+4179{n:07}", "message": _text(n)},
        lambda url, _: {"PROVIDER_SMS": f"twilio://AC1:secret@?from=%2B15555550100&endpoint={url}"},
    ),
    "push": Channel(
        "push",
        lambda n: {"type": "push", "recipient": f"fcm:token-{n}", "subject": "Hi", "message": _text(n)},
        lambda url, folder: {"PROVIDER_PUSH": f"fcm://{service_account(folder, f'{url}/token')}?endpoint={url}"},
    ),
    "chat": Channel(
        "chat",
        lambda n: {"type": "chat", "recipient": f"chat-{n % PLACES}", "message": _text(n)},
        lambda _url, _folder: {"CALLBACK_ALLOWED_NETWORKS": "127.0.0.0/8"},
        places="slack",
    ),
    "webhook": Channel(
        "webhook",
        lambda n: {"type": "webhook", "recipient": f"webhook-{n % PLACES}", "payload": _text(n)},
        lambda _url, _folder: {"CALLBACK_ALLOWED_NETWORKS": "127.0.0.0/8"},
        places="webhook",
    ),
}


class Sink(NamedTuple, Generic[M]):
    """A running sink: its process, where it listens, and the client of its control port."""

    part: Part
    url: str
    mailbox: M


@contextmanager
def sink(folder: Path) -> Iterator[Sink[HttpMailboxClient]]:
    """Run the HTTP sink."""
    with _running("benchmarks.http_sink", folder / "http-sink.json", HttpMailboxClient) as (part, port, mailbox):
        yield Sink(part, f"http://127.0.0.1:{port}", mailbox)


@contextmanager
def mail_sink(folder: Path, name: str) -> Iterator[Sink[MailboxClient]]:
    """Run one more SMTP sink."""
    with _running("benchmarks.sink", folder / f"sink-{name}.json", MailboxClient) as (part, port, mailbox):
        yield Sink(part, f"smtp://127.0.0.1:{port}", mailbox)


@contextmanager
def _running(module: str, ports: Path, client: Callable[[int], M]) -> Iterator[tuple[Part, int, M]]:
    """Run a sink. Yield its process, its port, and the client of its control port."""
    ports.unlink(missing_ok=True)  # of an earlier one
    part = Part([sys.executable, "-m", module], os.environ, ROOT, ports, lambda: ports.read_text().endswith("\n"))
    part.start()
    try:
        port, control = json.loads(ports.read_text()).values()
        with closing(client(control)) as mailbox:
            yield part, port, mailbox
    finally:
        part.stop()


def post(port: int, path: str, document: object) -> Any:
    """POST a document, which must be accepted; return the answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("POST", path, json.dumps(document), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        said = answer.read()
        if answer.status != http.client.CREATED:
            raise RuntimeError(f"{path} was answered with {answer.status}: {said[:500]!r}")
        return json.loads(said)


def furnish(port: int, channel: Channel, url: str) -> None:
    """Create the destinations of a channel."""
    for number in range(PLACES if channel.places else 0):
        place = {"name": f"{channel.name}-{number}", "kind": channel.places, "url": f"{url}/{channel.places}/secret"}
        post(port, "/api/destinations", place)


def fill(port: int, channel: Channel, count: int, first: int = 0) -> dict[int, int]:
    """POST a backlog in batches; return the numbers by id."""
    accepted: dict[int, int] = {}
    for start in range(first, first + count, BATCH):
        numbers = range(start, min(start + BATCH, first + count))
        items = post(port, "/api/notifications/batch", {"items": [channel.document(n) for n in numbers]})["items"]
        accepted |= {item["id"]: n for item, n in zip(items, numbers, strict=True)}
    return accepted
