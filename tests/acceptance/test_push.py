"""Push messages from a request to the device, through the API, the workers and the three services."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from tests.client import NOTIFICATIONS, Response
from tests.eventually import eventually
from tests.integration.pushing import DEVICE
from tests.providers import http2_server
from tests.providers.http2_server import Http2Server
from tests.providers.push_apis import Apns, Fcm, WebPush
from tests.providers.push_keys import BROWSER, url
from tests.providers.server import Server, answering
from tests.system import System

END = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
MESSAGES: dict[str, dict[str, Any]] = {
    "fcm": {"recipient": "fcm:token-a", "data": {"order": "7"}, "url": "https://example.com/7"},
    "apns": {"recipient": f"apns:{DEVICE.upper()}", "badge": 2, "expiresAt": END.strftime("%Y-%m-%dT%H:%M:%SZ")},
    "webpush": {"recipient": "webpush:https://push.example.com/s/1", "keys": BROWSER.keys},
}


class World(NamedTuple):
    """The system and the services."""

    system: System
    servers: dict[str, Server | Http2Server]
    fakes: dict[str, Fcm | Apns | WebPush]

    def post(self, kind: str, **fields: Any) -> Response:
        document = {"type": "push", "subject": "Hi", "message": "Hello", **MESSAGES[kind], **fields}
        return self.system.client.post(NOTIFICATIONS, document)

    def fail_once(self, kind: str) -> None:
        """Have the service say that the next token has ended. FCM says so of tokens that begin with `gone`."""
        server = self.servers[kind]
        if isinstance(server, Http2Server):
            server.faults.append(
                http2_server.answering(410, {"reason": "Unregistered", "timestamp": 1_700_000_000_000})
            )
        elif kind == "webpush":
            server.faults.append(answering(410, b"gone"))

    def ended(self, id: int) -> dict[str, Any]:
        """The notification once it has its final status."""

        def read() -> dict[str, Any] | None:
            found: dict[str, Any] = self.system.client.get(f"{NOTIFICATIONS}/{id}").json
            return found if found["status"] in {"sent", "failed", "cancelled"} else None

        found = eventually(read, 20, saying=self.system.logs)
        assert found
        return found


@pytest.fixture(scope="module")
def world(module_database_url: str, module_redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("push")
    fakes: dict[str, Fcm | Apns | WebPush] = {"fcm": Fcm(), "apns": Apns(), "webpush": WebPush()}
    with ExitStack() as stack:
        servers: dict[str, Server | Http2Server] = {}
        for kind, fake in fakes.items():
            if kind == "apns":
                servers[kind] = stack.enter_context(Http2Server(fake))
            else:
                servers[kind] = stack.enter_context(Server(fake))
        urls = {f"provider_{kind}": url(kind, folder, server.url) for kind, server in servers.items()}
        system = System(folder, database_url=module_database_url, redis_url=module_redis_url, smtp_url="", **urls)
        stack.callback(system.stop)
        system.start_api()
        system.start_workers(2)
        yield World(system, servers, fakes)


@pytest.mark.parametrize("kind", sorted(MESSAGES))
def test_a_push_message_reaches_the_device_and_is_shown_as_sent(kind: str, world: World) -> None:
    accepted = world.post(kind)
    assert accepted.status == 201, accepted.json
    found = world.ended(accepted.json["id"])

    assert (found["status"], found["subject"], found["message"]) == ("sent", "Hi", "Hello")
    given = {name: value for name, value in MESSAGES[kind].items() if name not in {"recipient", "keys"}}
    assert {name: found[name] for name in given} == given
    assert found["recipient"] == MESSAGES[kind]["recipient"].replace(DEVICE.upper(), DEVICE)
    assert BROWSER.keys["auth"] not in str(found)
    [taken] = world.fakes[kind].sink
    assert "Hello" in str(taken.content)
    if kind == "apns":
        assert taken.headers["apns-collapse-id"] == str(found["id"])
        assert taken.headers["apns-expiration"] == str(int(END.timestamp()))


def test_an_invalid_request_is_refused_with_every_field_and_the_fix(world: World) -> None:
    refused = world.post("fcm", keys=BROWSER.keys, data={"from": "x"}, badge=-1, html="<p>")

    assert refused.status == 422
    faults = {fault["pointer"]: fault["detail"] for fault in refused.json["errors"]}
    assert set(faults) >= {"/keys", "/data/from", "/badge"}
    assert "leave them out" in faults["/keys"]


@pytest.mark.parametrize(
    "recipient", ["fcm:gone-AbC", "apns:" + "1b" * 32, "webpush:https://push.example.com/Gone?a=b/" + "x" * 1_900]
)
def test_a_token_that_has_ended_is_suppressed_until_it_is_removed_from_the_list(recipient: str, world: World) -> None:
    kind = recipient.partition(":")[0]
    world.fail_once(kind)
    found = world.ended(world.post(kind, recipient=recipient).json["id"])
    second = world.post(kind, recipient=recipient).json

    assert (found["status"], found["failureReason"]) == ("failed", "rejected")
    assert (second["status"], second["failureReason"]) == ("failed", "suppressed")
    place = f"/api/suppressions/{quote(recipient, safe='')}"
    client = world.system.client
    assert client.get(place).json["address"] == recipient
    assert client.request("DELETE", place).status == 204
    assert client.get(place).status == 404
    assert client.post("/api/suppressions", {"address": recipient}).status == 201
    assert recipient in [one["address"] for one in client.get("/api/suppressions?limit=1").json["items"]]
    assert client.request("DELETE", place).status == 204
    listed = client.get(NOTIFICATIONS, recipient=recipient).json["items"]
    assert {one["id"] for one in listed} == {found["id"], second["id"]}
