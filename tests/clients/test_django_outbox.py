"""The outbox: what is committed with the application's own rows is sent once, whatever dies in between."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import override_settings
from django.utils import timezone

from notification_client import Client
from notification_client.django import OutboxEmailBackend
from notification_client.django.outbox import enqueue, send_after_commit
from notification_client.django.outbox.models import OutgoingNotification
from notification_client.django.outbox.sending import LEASE
from tests.acceptance.world import World
from tests.clients.django_shop import environment, shop
from tests.clients.shop.models import Order
from tests.clients.unreliable import unreliable
from tests.embedded import Databases
from tests.eventually import eventually
from tests.processes import Group
from tests.system import free_port

outbox = OutgoingNotification.objects


@pytest.fixture(scope="module")
def database_of_the_shop(databases: Databases) -> Iterator[str]:
    """A database of the application, beside that of the notification system."""
    with databases.new() as url:
        yield url


@pytest.fixture
def variables(database_of_the_shop: str, base_url: str, key: str) -> dict[str, str]:
    """The environment of the shop."""
    return environment(database_of_the_shop, base_url, key)


@pytest.fixture(autouse=True)
def in_the_shop(variables: dict[str, str]) -> Iterator[None]:
    """Empty tables of the shop, in this process."""
    with shop(variables):
        outbox.all().delete()
        Order.objects.all().delete()
        yield


@pytest.fixture
def elsewhere(variables: dict[str, str]) -> Callable[[str], override_settings]:
    """Has the outbox send to another address."""
    return lambda url: override_settings(NOTIFICATIONS={"url": url, "key": variables["SHOP_KEY"], "retry_for": 0.0})


@pytest.fixture
def api(base_url: str, key: str) -> Iterator[Client]:
    """A client to look with."""
    with Client(base_url, key) as client:
        yield client


def mail(order: str, recipient: str = "a@example.com", **more: Any) -> OutgoingNotification:
    return enqueue(type="email", recipient=recipient, message="Thank you", metadata={"order": order}, **more)


def send(*options: str) -> tuple[str, str]:
    """Return what `manage.py send_notifications` prints, on stdout and stderr."""
    out, err = StringIO(), StringIO()
    call_command("send_notifications", *options, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_committed_rows_are_sent_and_rolled_back_rows_are_not(api: Client, world: World) -> None:
    with transaction.atomic():
        Order.objects.create(number="1")
        mail("1", world.recipient())
    with transaction.atomic():
        Order.objects.create(number="2")
        mail("2")
        transaction.set_rollback(True)

    printed, _ = send()

    assert printed == "1 sent\n"
    assert outbox.count() == 0
    [found] = api.find()
    assert found.metadata == {"order": "1"}
    assert api.wait(found.id, 30).status == "sent"


def test_every_field_survives_the_outbox(api: Client) -> None:
    later = timezone.now() + timedelta(days=1)
    message: Any = EmailMessage("Hi", "Hello", None, ["Ann <ann@example.com>"], cc=["bob@example.com"])
    message.attach("a.bin", b"\x00\xff")
    message.notification_fields = {"send_at": later, "tags": ["a"]}

    assert OutboxEmailBackend().send_messages([message]) == 1
    assert outbox.get().key == message.notification.key
    send()

    [found] = api.find(tag="a")
    whole = api.get(found.id)
    assert (whole.recipient_name, whole.cc, whole.send_at) == ("Ann", ["bob@example.com"], later)
    assert api.attachment(found.id, 1) == b"\x00\xff"


def test_a_row_is_sent_right_after_the_commit_on_request(api: Client) -> None:
    with transaction.atomic():
        send_after_commit(mail("1"))
        assert list(api.find()) == []

    assert [found.metadata["order"] for found in api.find()] == ["1"]
    assert outbox.count() == 0


def test_a_commit_succeeds_while_the_api_is_away(elsewhere: Any, api: Client) -> None:
    with elsewhere(f"http://127.0.0.1:{free_port()}"), transaction.atomic():
        Order.objects.create(number="1")
        send_after_commit(mail("1"))

    row = outbox.get()
    assert (Order.objects.count(), row.attempts, "ConnectionFailed" in row.error) == (1, 1, True)
    outbox.update(due_at=timezone.now())
    assert send()[0] == "1 sent\n"


def test_the_command_fails_while_the_api_is_away_and_keeps_every_row(elsewhere: Any) -> None:
    mail("1")
    mail("2")

    with elsewhere(f"http://127.0.0.1:{free_port()}"), pytest.raises(CommandError, match="notifications wait"):
        send()

    assert sorted(outbox.values_list("attempts", flat=True)) == [0, 1]


def test_a_row_whose_answer_was_lost_is_stored_once(elsewhere: Any, world: World, api: Client) -> None:
    mail("1")

    with unreliable(world.system.port, lost=1) as network, elsewhere(network.base_url):
        with pytest.raises(CommandError):
            send()
        outbox.update(due_at=timezone.now())
        send()

    assert [found.metadata["order"] for found in api.find()] == ["1"]


def test_a_row_that_the_api_refuses_is_kept_with_its_fault_until_it_is_retried(api: Client) -> None:
    row = mail("1", "no address")
    mail("2")

    _, told = send()

    assert f"the API refused {row.key}: 422" in told
    kept = outbox.get()
    assert "/recipient must be" in kept.error
    assert send() == ("", "")
    kept.document["recipient"] = "a@example.com"
    kept.save()
    assert send("--refused") == ("1 refused notifications are due again\n1 sent\n", "")
    assert sorted(found.metadata["order"] for found in api.find()) == ["1", "2"]


def test_a_wrong_key_fails_no_row_permanently(base_url: str) -> None:
    mail("1")

    with (
        override_settings(NOTIFICATIONS={"url": base_url, "key": "ntf_live_1_wrong"}),
        pytest.raises(CommandError, match="401"),
    ):
        send()

    assert outbox.get().refused_at is None


def test_a_row_leased_by_another_process_is_skipped_until_the_lease_ends() -> None:
    row = mail("1")
    outbox.update(due_at=timezone.now() + LEASE)

    assert send() == ("", "")
    outbox.filter(key=row.key).update(due_at=timezone.now())
    assert send()[0] == "1 sent\n"


def test_a_second_row_with_a_waiting_idempotency_key_is_not_added() -> None:
    assert mail("1", idempotency_key="order-1").key == mail("1", idempotency_key="order-1").key
    assert outbox.count() == 1


def test_the_migrations_match_the_models() -> None:
    call_command("makemigrations", "notification_outbox", check=True, dry_run=True, verbosity=0)


class Sender:
    """`send_notifications --loop` as a process of its own."""

    def __init__(self, directory: Path, environ: dict[str, str]) -> None:
        self._directory, self._environ = directory, environ
        self.log = directory / "sender.log"

    def start(self, url: str) -> Group:
        """Start one that sends to this URL."""
        command = ["python", "-m", "django", "send_notifications", "--loop"]
        return Group(command, self._environ | {"SHOP_API": url}, self.log)


@pytest.fixture
def sender(tmp_path: Path, world: World, variables: dict[str, str]) -> Sender:
    """Starts processes that send."""
    return Sender(tmp_path, world.system.environ | variables)


def test_a_sender_killed_before_recording_the_answer_sends_nothing_twice(
    sender: Sender, world: World, api: Client, base_url: str
) -> None:
    mail("1", world.recipient())
    with unreliable(world.system.port, lost=0) as network:
        network.hold()
        group = sender.start(network.base_url)
        eventually(lambda: list(api.find()), within=20, saying=sender.log.read_text)
        group.signal(signal.SIGKILL)
        group.kill()
    assert outbox.count() == 1

    outbox.update(due_at=timezone.now())  # its lease has ended
    group = sender.start(base_url)
    eventually(lambda: outbox.count() == 0, within=20, saying=sender.log.read_text)
    group.kill()

    assert len(list(api.find())) == 1


def test_senders_that_are_killed_again_and_again_lose_nothing_and_send_nothing_twice(
    sender: Sender, world: World, api: Client, base_url: str
) -> None:
    recipients = dict(zip(map(str, range(150)), world.recipients(150), strict=True))
    for order, recipient in recipients.items():
        with transaction.atomic():
            Order.objects.create(number=order)
            mail(order, recipient)

    for left in (140, 90, 40):
        groups = [sender.start(base_url) for _ in range(2)]
        eventually(lambda most=left: outbox.count() <= most, within=20, saying=sender.log.read_text)  # type: ignore[misc]
        for group in groups:
            group.kill()
        outbox.update(due_at=timezone.now())  # the leases of the dead have ended
    group = sender.start(base_url)
    eventually(lambda: outbox.count() == 0, within=30, saying=sender.log.read_text)
    group.kill()

    stored = Counter(found.metadata["order"] for found in api.find())
    assert stored == dict.fromkeys(recipients, 1)
    eventually(lambda: all(found.status == "sent" for found in api.find()), within=30)
    assert [len(world.mail_server.mails_to(to)) for to in recipients.values()] == [1] * 150
