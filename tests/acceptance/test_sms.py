"""Text messages from the request to the provider: gunicorn, workers, and providers that misbehave."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.client import Client
from tests.eventually import eventually
from tests.providers.server import Server, answering, reset_after
from tests.providers.sms import URLS, Fake
from tests.system import System

pytestmark = pytest.mark.long

NOTIFY = Path(sys.executable).with_name("notify")
NUMBER = "+41791234567"
OPTED_OUT = answering(400, {"code": 21610, "message": "Attempt to send to unsubscribed recipient"})


class Phones(NamedTuple):
    """The system, and its providers: Twilio first, then Vonage."""

    system: System
    client: Client
    servers: dict[str, Server]
    fakes: dict[str, Fake]

    def post(self, **fields: Any) -> Any:
        """POST a text message and return the notification when it has ended."""
        document = {"type": "sms", "recipient": NUMBER, "message": "Hello", **fields}
        made = self.client.post("/api/notifications", document)
        assert made.status == 201, made.raw
        ended = self.client.get(f"/api/notifications/{made.json['id']}", wait=20)
        assert ended.json["finishedAt"], self.system.logs()
        return ended.json

    def attempts(self, id: int) -> list[tuple[str, str]]:
        """The provider and the outcome of each attempt."""
        return [(one["provider"], one["outcome"]) for one in self.client.attempts(id)]

    @property
    def copies(self) -> Counter[str]:
        """How many copies of each text the providers took together."""
        return Counter(taken.body for fake in self.fakes.values() for taken in fake.sink)


def notify(system: System, *words: str) -> str:
    """Run a command of `notify` and return its output."""
    done = subprocess.run([NOTIFY, *words], env=system.environ, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


def keyed(system: System, *options: str) -> Client:
    """A client of the API with a new key of the client `shop`."""
    scopes = ("--scope", "send", "--scope", "read", "--scope", "manage")
    client = system.client
    client.key = notify(system, "keys", "create", "--client", "shop", "--name", "test", *scopes, *options)
    return client


@pytest.fixture(scope="module")
def phones(
    module_database_url: str, module_redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Phones]:
    with ExitStack() as stack:
        fakes = {kind: Fake(kind) for kind in ("twilio", "vonage")}
        servers = {kind: stack.enter_context(Server(fake)) for kind, fake in fakes.items()}
        urls = {f"provider_{kind}": f"{URLS[kind]}&endpoint={servers[kind].url}" for kind in fakes}
        urls["provider_vonage"] += "&priority=2"
        where = {"database_url": module_database_url, "redis_url": module_redis_url, "smtp_url": ""}
        system = System(tmp_path_factory.mktemp("system"), auth="required", **where, **urls)
        stack.callback(system.stop)
        system.start_api()
        system.start_workers(2)
        notify(system, "clients", "create", "--name", "shop", "--phone-region", "CH", "--sender", "sms:ACME")
        yield Phones(system, keyed(system), servers, fakes)


@pytest.fixture(autouse=True)
def healthy(phones: Phones) -> None:
    for kind in phones.fakes:
        phones.servers[kind].faults.clear()
        phones.fakes[kind].sink.clear()


def test_a_message_is_sent_and_shown_with_its_segments(phones: Phones) -> None:
    shown = phones.post(recipient="079 123 45 67", message="Zoë: 1 €", tags=["code"])

    assert (shown["status"], shown["type"], shown["recipient"]) == ("sent", "sms", NUMBER)
    assert {name: shown[name] for name in ("from", "maxSegments", "encoding", "segments")} == {
        **{"from": None, "maxSegments": 10, "encoding": "ucs-2", "segments": 1},
    }
    assert [tuple(taken) for taken in phones.fakes["twilio"].sink] == [(NUMBER, "+15555550100", "Zoë: 1 €")]
    assert phones.attempts(shown["id"]) == [("twilio", "sent")]


def test_many_messages_arrive_once_each(phones: Phones) -> None:
    texts = [f"text {number}" for number in range(200)]
    documents = [{"type": "sms", "recipient": NUMBER, "message": text} for text in texts]
    made = phones.client.post("/api/notifications/batch", {"items": documents}).json["items"]
    ids = [item["id"] for item in made]

    eventually(lambda: not phones.system.sql.unfinished(ids), within=30, saying=phones.system.logs)
    assert phones.copies == Counter(texts)


def test_a_provider_that_cannot_be_reached_is_replaced_without_a_second_copy(phones: Phones) -> None:
    phones.servers["twilio"].faults.append(answering(401, {"code": 20003, "message": "Authenticate"}))

    shown = phones.post(message="elsewhere")

    assert shown["status"] == "sent"
    assert phones.attempts(shown["id"])[-1] == ("vonage", "sent")
    assert phones.copies == {"elsewhere": 1}


@pytest.mark.parametrize(("choice", "ending", "copies"), [("hold", "failed", 1), ("resend", "sent", 2)])
def test_a_message_whose_answer_is_lost_is_held_or_sent_again_by_the_same_provider(
    phones: Phones, choice: str, ending: str, copies: int
) -> None:
    phones.servers["twilio"].faults.append(reset_after)

    shown = phones.post(message=choice, onUncertain=choice)

    assert shown["status"] == ending
    assert phones.copies == {choice: copies}
    assert {provider for provider, _ in phones.attempts(shown["id"])} == {"twilio"}


def test_an_opt_out_suppresses_the_number_for_this_sender_only(phones: Phones) -> None:
    phones.servers["twilio"].faults.append(OPTED_OUT)
    assert phones.post(message="first")["failureReason"] == "rejected"

    held = phones.post(message="second")
    assert (held["status"], held["failureReason"]) == ("failed", "suppressed")
    listed = phones.client.get("/api/suppressions").json["items"]
    assert [entry["address"] for entry in listed] == [f"{NUMBER} from default"]
    assert phones.post(message="third", **{"from": "ACME"})["status"] == "sent"

    address = f"{NUMBER} from default".replace("+", "%2B").replace(" ", "%20")
    assert phones.client.request("DELETE", f"/api/suppressions/{address}").status == 204
    assert phones.post(message="fourth")["status"] == "sent"
    assert phones.copies == {"third": 1, "fourth": 1}


def test_retry_after_is_kept_and_costs_no_attempt(phones: Phones) -> None:
    for kind in phones.servers:
        phones.servers[kind].faults.append(answering(429, {"code": 20429, "message": "Too many"}, Retry_After="2"))
    begun = time.monotonic()

    shown = phones.post(message="later")

    assert time.monotonic() - begun > 1.5
    assert (shown["status"], shown["retryCount"]) == ("sent", 0)
    assert phones.copies == {"later": 1}


def test_faults_of_a_request_are_reported_with_their_fields(phones: Phones) -> None:
    faulty = {"type": "sms", "recipient": "911", "message": "a" * 161, "maxSegments": 1, "from": "EVIL", "html": "<p>"}
    refused = phones.client.post("/api/notifications", faulty)

    assert refused.status == 422
    assert {fault["pointer"] for fault in refused.json["errors"]} >= {"/recipient", "/message", "/from"}


@pytest.mark.parametrize(
    ("number", "ending"),
    [("+15005550001", ("failed", "rejected")), ("+15005550002", ("sent", None)), (NUMBER, ("sent", None))],
)
def test_messages_of_test_keys_are_not_sent(phones: Phones, number: str, ending: tuple[str, str | None]) -> None:
    testing = phones._replace(client=keyed(phones.system, "--sandbox"))

    shown = testing.post(recipient=number)

    assert (shown["status"], shown["failureReason"]) == ending
    assert (shown["sandbox"], phones.copies) == (True, {})
