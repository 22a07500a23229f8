"""SIGKILL of the SMTP server and of the API under load: every mail with a 250 is stored once."""

from __future__ import annotations

import smtplib
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from email.policy import SMTP

import pytest

from tests.acceptance.conftest import NewWorld
from tests.acceptance.world import World
from tests.eventually import eventually
from tests.submission import mail, serving, start
from tests.system import free_port

pytestmark = pytest.mark.long

CLIENTS, MAILS = 6, 40  # of each client


class Senders:
    """Clients that send each mail again until it has 250, as a mail server with a queue does."""

    def __init__(self, port: int, recipients: Iterator[str]) -> None:
        self.answered: dict[str, int] = {}
        self.sent_again = 0
        self._port, self._recipients = port, recipients
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(CLIENTS)]
        self._taking = threading.Lock()

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        for _ in range(MAILS):
            with self._taking:
                recipient = next(self._recipients)
            message = mail(recipient, Message_ID=f"<{recipient}>").as_bytes(policy=SMTP)
            eventually(lambda: self._send(recipient, message), within=60)  # noqa: B023 - called at once

    def _send(self, recipient: str, message: bytes) -> bool:
        try:
            with closing(smtplib.SMTP("127.0.0.1", self._port, timeout=30)) as client:
                client.ehlo("client.example")
                client.mail("noreply@sender.example")
                client.rcpt(recipient)
                code, said = client.data(message)
        except (OSError, smtplib.SMTPException):
            self.sent_again += 1
            return False
        if code != 250:
            assert 400 <= code < 500, (code, said)
            self.sent_again += 1
            return False
        self.answered[recipient] = int(said.rpartition(b" ")[2])
        return True


@pytest.fixture(scope="module")
def world(new_world: NewWorld) -> World:
    """gunicorn and one group of workers."""
    world = new_world()
    world.system.start_api()
    world.system.start_workers()
    return world


def test_mails_with_250_are_stored_exactly_once_although_server_and_api_are_killed(world: World) -> None:
    listen = f"127.0.0.1:{free_port()}"
    server = start(world.system, listen=listen)
    senders = Senders(server.port, world.recipients())
    senders.start()

    for round in range(1, 5):
        reached = CLIENTS * MAILS * round // 6
        eventually(lambda: len(senders.answered) >= reached, within=60)  # noqa: B023 - called at once
        server.group.kill()
        if round == 3:
            assert world.system.api is not None
            world.system.api.kill()
            world.system.start_api()
        server = start(world.system, listen=listen)
    senders.finish()

    _check(world, senders)
    assert senders.sent_again
    assert server.group.stop() == 0


def _check(world: World, senders: Senders) -> None:
    assert len(senders.answered) == CLIENTS * MAILS
    rows = world.system.sql.rows("SELECT recipient, id FROM notifications")
    assert Counter(recipient for recipient, _ in rows) == dict.fromkeys(senders.answered, 1)
    assert dict(rows) == senders.answered
    accepted = {id: recipient for recipient, id in senders.answered.items()}
    tally = world.tally(accepted)
    assert (tally.delivered, tally.twice, tally.stuck) == (len(accepted), 0, 0)


def test_a_mail_over_smtp_arrives_at_the_mail_server_as_it_was_sent(world: World) -> None:
    ann, bob, hidden = world.recipients(3)
    message = mail(f"Ann Ö. <{ann}>", "Grüße ☀\n.\nEnde\n", Cc=bob, X_Campaign="spring")
    message.replace_header("Subject", "Ihr Bericht ☀")
    message.add_alternative('<img src="cid:logo"><p>Grüße', subtype="html")
    html = message.get_payload()[1]  # type: ignore[index]
    html.add_related(bytes(range(256)), "image", "png", cid="<logo>", filename="logo.png")  # type: ignore[union-attr]
    report = b"%PDF\r\n.\r\n" * 5_000
    message.add_attachment(report, "application", "pdf", filename="Bericht ä.pdf")

    with serving(world.system) as server, server.client() as client:
        client.send_message(message, to_addrs=[ann, bob, hidden])

    [found] = eventually(lambda: world.mail_server.mails_to(ann))
    assert found.recipients == (ann, bob, hidden)
    read = found.parsed
    assert (read["Subject"], read["X-Campaign"]) == ("Ihr Bericht ☀", "spring")
    assert [(one.display_name, one.addr_spec) for one in read["To"].addresses] == [("Ann Ö.", ann)]
    text, page = read.get_body(("plain",)), read.get_body(("html",))
    assert text is not None
    assert page is not None
    assert text.get_content().splitlines() == ["Grüße ☀", ".", "Ende"]
    assert page.get_content().strip() == '<img src="cid:logo"><p>Grüße'
    [attached] = [part for part in read.walk() if part.get_content_disposition() == "attachment"]
    [logo] = [part for part in read.walk() if part["Content-ID"] == "<logo>"]
    assert (attached.get_filename(), attached.get_payload(decode=True)) == ("Bericht ä.pdf", report)
    assert logo.get_payload(decode=True) == bytes(range(256))
