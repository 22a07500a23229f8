"""A mail with every field, from the POST to the mail server, also through crashes."""

from __future__ import annotations

from base64 import b64encode

import pytest

from tests.acceptance.conftest import NewWorld
from tests.acceptance.world import World
from tests.smtp import Drop, Reply

LOGO = bytes(range(256)) * 20
REPORT = b"%PDF\r\n.\r\n" * 20_000
FULL = {
    "from": "Schöne Grüße <noreply@sender.example>",
    "replyTo": "help@sender.example",
    "recipientName": "Ann, née Ö.",
    "subject": "Ihr Bericht ☀",
    "html": '<img src="cid:logo"><p>Hello</p>',
    "headers": {"X-Campaign": "reports"},
    "unsubscribe": {"url": "https://example.com/leave?list=7"},
    "attachments": [
        {"filename": "Bericht ä.pdf", "contentType": "application/pdf", "content": b64encode(REPORT).decode()},
        {"filename": "logo.png", "contentType": "image/png", "contentId": "logo", "content": b64encode(LOGO).decode()},
    ],
}


@pytest.fixture(scope="module")
def world(new_world: NewWorld) -> World:
    """gunicorn and one group of workers."""
    world = new_world()
    world.system.start_api()
    world.system.start_workers()
    return world


def test_a_mail_arrives_with_its_image_and_its_attachment(world: World) -> None:
    ann, bob, hidden = world.recipients(3)
    id = world.post_one(ann, cc=[f"Bob <{bob}>"], bcc=[hidden], **FULL)

    assert world.ended(id)["status"] == "sent"
    [mail] = world.mail_server.mails
    assert (mail.sender, mail.recipients) == ("noreply@sender.example", (ann, bob, hidden))
    assert hidden.encode() not in mail.raw
    read = mail.parsed
    assert read["Subject"] == FULL["subject"]
    assert [a.addr_spec for a in read["Cc"].addresses] == [bob]
    assert (read["X-Campaign"], read["Reply-To"]) == ("reports", "help@sender.example")
    assert read["List-Unsubscribe"] == "<https://example.com/leave?list=7>"
    assert read["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    [report] = [part for part in read.walk() if part.get_content_disposition() == "attachment"]
    [logo] = [part for part in read.walk() if part["Content-ID"] == "<logo>"]
    assert (report.get_filename(), report.get_payload(decode=True)) == ("Bericht ä.pdf", REPORT)
    assert logo.get_payload(decode=True) == LOGO


def test_a_refused_copy_fails_the_notification_and_no_recipient_gets_it(world: World) -> None:
    ann, bob, eve = world.recipients(3)
    world.mail_server.on("rcpt", Reply(550, "5.1.1 nobody"), to=bob)
    ended = world.ended(world.post_one(ann, cc=[bob, eve]))

    assert (ended["status"], ended["failureReason"]) == ("failed", "rejected")
    assert ended["lastError"] == f"{bob}: 550 5.1.1 nobody"
    assert world.mail_server.mails == []


def test_a_deferred_copy_defers_the_mail_and_each_recipient_gets_it_once(world: World) -> None:
    ann, bob, eve = world.recipients(3)
    world.mail_server.on("rcpt", Reply(450, "4.2.0 busy"), to=eve)
    ended = world.ended(world.post_one(ann, cc=[bob, eve]))

    assert (ended["status"], ended["retryCount"]) == ("sent", 1)
    assert [mail.recipients for mail in world.mail_server.mails] == [(ann, bob, eve)]


def test_each_attempt_has_the_attachments(world: World) -> None:
    ann = world.recipient()
    world.mail_server.on("dot", Reply(451, "4.2.1 once more"), to=ann)
    world.mail_server.on("dot", Drop(), to=ann)
    first = world.post_one(ann, **FULL)
    assert world.ended(first)["status"] == "sent"
    assert [a["outcome"] for a in world.system.client.attempts(first)] == ["deferred", "uncertain", "sent"]
    [mail] = world.mail_server.mails
    assert {part.get_content_type() for part in mail.parsed.walk()} >= {"application/pdf", "image/png"}


def test_a_mail_with_an_attachment_is_sent_by_another_worker_after_a_kill(world: World) -> None:
    ann = world.recipient()
    world.mail_server.delay = 0.3
    id = world.post_one(ann, **FULL)
    world.system.workers[0].kill()
    world.mail_server.delay = 0.0
    world.system.only_workers(1)
    assert world.ended(id, within=30)["status"] == "sent"
    for mail in world.mail_server.mails_to(ann):
        [report] = [part for part in mail.parsed.walk() if part.get_content_disposition() == "attachment"]
        assert report.get_payload(decode=True) == REPORT
