"""Reports about text messages in a running system: a report to the URL that the provider got changes the delivery
status."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from actors.reports.providers import Received
from tests.client import Client
from tests.eventually import eventually
from tests.providers.server import Server
from tests.providers.sms import URLS, Fake, form
from tests.reports import twilio, vonage
from tests.system import System

pytestmark = pytest.mark.long

NUMBER = "+41791234567"
PUBLIC = "https://notify.example.com"
SECRET = "a-secret-that-comes-with-each-request"
REPORTS = {"twilio": f"reports={twilio.KEYS[0]}&reports_secret={SECRET}", "vonage": f"reports={vonage.KEYS[0]}"}


class Phones(NamedTuple):
    """The system with one provider, which keeps what it was sent."""

    system: System
    client: Client
    server: Server

    def send(self) -> tuple[int, dict[str, str]]:
        """Send a message; return its id and the fields that the provider got."""
        made = self.client.post("/api/notifications", {"type": "sms", "recipient": NUMBER, "message": "Hello"})
        id = int(made.json["id"])
        assert self.client.get(f"/api/notifications/{id}", wait=20).json["status"] == "sent", self.system.logs()
        return id, form(self.server.requests[-1])

    def report(self, received: Received) -> Any:
        """Call the webhook as the provider would: through the proxy at PUBLIC_URL."""
        path = received.url.removeprefix(PUBLIC)
        return self.client.request("POST", path, received.body, dict(received.headers))

    def known(self, id: int) -> Any:
        """Return the delivery status of a notification."""
        return self.client.get(f"/api/notifications/{id}").json["deliveryStatus"]


@pytest.fixture
def phones(
    request: pytest.FixtureRequest, database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Phones]:
    kind = request.param
    with ExitStack() as stack:
        server = stack.enter_context(Server(Fake(kind)))
        texts = f"{URLS[kind]}&endpoint={server.url}&{REPORTS[kind]}"
        where = {"database_url": database_url, "redis_url": redis_url, "smtp_url": "", "provider_texts": texts}
        public = {"public_url": PUBLIC, "unsubscribe_secret": "s" * 32}
        system = System(tmp_path_factory.mktemp("system"), **where, **public)
        stack.callback(system.stop)
        system.start_api()
        system.start_workers()
        yield Phones(system, system.client, server)


@pytest.mark.parametrize("phones", ["twilio"], indirect=True)
def test_a_status_callback_of_twilio_changes_the_delivery_status(
    phones: Phones,
) -> None:
    id, sent = phones.send()
    url = sent["StatusCallback"]
    assert url.startswith(f"{PUBLIC}/api/reports/texts?")
    # Another id than that of the answer: the token alone leads to the notification.
    said = twilio.status("delivered")

    forged = twilio.signed(said, "another-key", url)
    assert phones.report(forged).status == 403
    elsewhere = twilio.signed(said, twilio.KEYS[0], url.partition("&secret=")[0])
    assert phones.report(elsewhere).status == 403
    assert phones.known(id) == "unconfirmed"

    assert phones.report(twilio.signed(said, twilio.KEYS[0], url)).status == 200

    eventually(lambda: phones.known(id) == "delivered", within=20, saying=phones.system.logs)


@pytest.mark.parametrize("phones", ["twilio"], indirect=True)
def test_a_message_that_twilio_could_not_deliver_is_bounced_and_its_number_suppressed(phones: Phones) -> None:
    id, sent = phones.send()

    said = twilio.status("failed", "30005")
    assert phones.report(twilio.signed(said, twilio.KEYS[0], sent["StatusCallback"])).status == 200

    eventually(lambda: phones.known(id) == "bounced", within=20, saying=phones.system.logs)
    assert [one["address"] for one in phones.client.get("/api/suppressions").json["items"]] == [NUMBER]


@pytest.mark.parametrize("phones", ["vonage"], indirect=True)
def test_a_receipt_of_vonage_with_our_client_ref_changes_the_delivery_status(phones: Phones) -> None:
    id, sent = phones.send()
    said = vonage.receipt("delivered") | {"client-ref": sent["client-ref"]}
    received = vonage.sms(said, vonage.KEYS[0], datetime.now(UTC))._replace(url=f"{PUBLIC}/api/reports/texts")

    assert phones.report(received).status == 200

    eventually(lambda: phones.known(id) == "delivered", within=20, saying=phones.system.logs)
