"""Mails of a Django application: everything that the API can carry arrives, everything else is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from email.message import MIMEPart
from email.mime.base import MIMEBase
from email.mime.image import MIMEImage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any

import pytest
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.test import override_settings
from django.utils.module_loading import import_string

from notification_client import Client, ConnectionFailed, InvalidRequest, NotificationError
from notification_client.django import EmailBackend, NotCarried
from tests.acceptance.world import World
from tests.system import free_port

BACKEND = "notification_client.django.EmailBackend"


@pytest.fixture(autouse=True)
def configured(base_url: str, key: str) -> Iterator[None]:
    """The setting NOTIFICATIONS names the API of the test."""
    with override_settings(NOTIFICATIONS={"url": base_url, "key": key}):
        yield


@pytest.fixture
def delivered(world: World, base_url: str, key: str) -> Callable[[EmailMessage], Any]:
    """Sends a message and returns the mail that arrives."""

    def send(message: Any) -> Any:
        assert EmailBackend().send_messages([message]) == 1
        with Client(base_url, key) as client:
            assert client.wait(message.notification.id, 30).status == "sent"
        [taken] = world.mail_server.mails_to(message.notification.recipient)
        return taken

    return send


def test_send_mail_sends_a_notification(world: World) -> None:
    recipient = world.recipient()

    assert mail.send_mail("Hi", "Hello", None, [recipient], html_message="<p>Hello</p>") == 1

    [(status,)] = world.system.sql.rows("SELECT status FROM notifications WHERE recipient = %s", recipient)
    assert status in ("pending", "processing", "sent")


def test_a_mailer_of_django_6_1_is_created_from_its_options(base_url: str, key: str, world: World) -> None:
    """As django.core.mail.mailers makes it of MAILERS; older versions have no `mailers`."""
    config = {"BACKEND": BACKEND, "OPTIONS": {"url": base_url, "key": key, "retry_for": 5}}
    backend = import_string(config["BACKEND"])(alias="default", **config["OPTIONS"])  # type: ignore[arg-type]

    with override_settings(NOTIFICATIONS={}), backend as mailer:
        assert mailer.send_messages([EmailMessage("Hi", "Hello", None, [world.recipient()])]) == 1


def test_recipients_names_and_copies_arrive(delivered: Any, world: World) -> None:
    first, second, copy, hidden = world.recipients(4)
    taken = delivered(
        EmailMessage(
            "Größe",
            "Hello",
            '"Shop, the" <noreply@sender.example>',
            [f'"Doe, Ann" <{first}>', f"Bob <{second}>"],
            cc=[f"Carol <{copy}>"],
            bcc=[hidden],
            reply_to=["Help <help@example.com>"],
            headers={"X-Campaign": "spring"},
        )
    )

    assert set(taken.recipients) == {first, second, copy, hidden}
    parsed = taken.parsed
    assert parsed["Subject"] == "Größe"
    assert [(a.display_name, a.addr_spec) for a in parsed["To"].addresses] == [("Doe, Ann", first)]
    assert [(a.display_name, a.addr_spec) for a in parsed["Cc"].addresses] == [("Bob", second), ("Carol", copy)]
    assert parsed["From"].addresses[0].display_name == "Shop, the"
    assert (parsed["Reply-To"], parsed["X-Campaign"]) == ("Help <help@example.com>", "spring")
    assert hidden not in taken.raw.decode()


def test_html_inline_images_and_attachments_arrive(delivered: Any, world: World) -> None:
    message = EmailMultiAlternatives("Hi", "Hello", None, [world.recipient()])
    message.attach_alternative('<img src="cid:logo">', "text/html")
    image = MIMEImage(b"GIF89a", "gif")
    image.add_header("Content-ID", "<logo>")
    image.add_header("Content-Disposition", "inline", filename="logo.gif")
    message.attachments.append(image)
    message.attach("größe.txt", "größe", "text/plain")
    message.attach("data.bin", b"\x00\x01")
    message.attach(None, b"%PDF", "application/pdf")

    parsed = delivered(message).parsed

    parts = {part.get_filename(): part for part in parsed.walk() if part.get_filename()}
    assert parts["logo.gif"]["Content-ID"] == "<logo>"
    assert parts["logo.gif"].get_content_disposition() == "inline"
    assert parts["größe.txt"].get_content().strip() == "größe"
    assert parts["data.bin"].get_content() == b"\x00\x01"
    assert parts["attachment-4.pdf"].get_content() == b"%PDF"
    assert parsed.get_body(("html",)).get_content().strip() == '<img src="cid:logo">'
    assert parsed.get_body(("plain",)).get_content().strip() == "Hello"


def test_an_attachment_of_the_modern_email_package_arrives(delivered: Any, world: World) -> None:
    part = MIMEPart()
    part.set_content(b"1,2", maintype="text", subtype="csv", filename="a.csv")
    message = EmailMessage("Hi", "Hello", None, [world.recipient()])
    message.attachments.append(part)

    [attached] = delivered(message).parsed.iter_attachments()

    assert (attached.get_filename(), attached.get_payload(decode=True)) == ("a.csv", b"1,2")


def test_one_click_unsubscription_arrives(delivered: Any, world: World) -> None:
    headers = {
        "List-Unsubscribe": "<https://example.com/leave?u=1>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    parsed = delivered(EmailMessage("Hi", "Hello", None, [world.recipient()], headers=headers)).parsed

    assert parsed["List-Unsubscribe"] == "<https://example.com/leave?u=1>"


def test_fields_of_notifications_can_be_set_by_an_attribute(base_url: str, key: str, world: World) -> None:
    message: Any = EmailMessage("Hi", "Hello", None, [world.recipient()])
    message.notification_fields = {"tags": ["welcome"], "priority": "high", "send_at": "2124-01-01T00:00:00Z"}

    EmailBackend().send_messages([message])

    with Client(base_url, key) as client:
        assert [found.id for found in client.find(tag="welcome", priority="high")] == [message.notification.id]


def test_an_idempotency_key_makes_a_message_one_notification(world: World) -> None:
    recipient = world.recipient()
    messages = [
        EmailMessage("Hi", "Hello", None, [recipient], headers={"Idempotency-Key": "order-9"}) for _ in range(2)
    ]

    assert EmailBackend().send_messages(messages) == 2

    assert world.system.sql.rows("SELECT count(*) FROM notifications WHERE recipient = %s", recipient) == [(1,)]


def multipart() -> MIMEBase:
    part = MIMEMultipart()
    part.attach(MIMEText("Hello"))
    return part


def described() -> MIMEBase:
    part = MIMEText("Hello")
    part["Content-Description"] = "A text"
    return part


def inline() -> MIMEBase:
    part = MIMEImage(b"GIF89a", "gif")
    part["Content-Disposition"] = "inline"
    return part


TO = ["a@example.com"]


class Signed(EmailMessage):
    """Builds a mail of its own."""

    def message(self, *_args: Any, **_more: Any) -> Any:
        raise AssertionError("nobody asks for it")


def with_alternative(kind: str) -> EmailMessage:
    message = EmailMultiAlternatives("Hi", "Hello", to=TO)
    message.attach_alternative("Hello", kind)
    return message


def html_body() -> EmailMessage:
    message = EmailMessage("Hi", "<p>Hello</p>", to=TO)
    message.content_subtype = "html"
    return message


def with_file(part: MIMEBase) -> EmailMessage:
    message = EmailMessage("Hi", "Hello", to=TO)
    message.attachments.append(part)
    return message


REFUSED: dict[str, tuple[Callable[[], Any], type[NotificationError], str]] = {
    "bcc alone": (lambda: EmailMessage("Hi", "Hello", bcc=TO), NotCarried, "has no `to`"),
    "no address": (lambda: EmailMessage("Hi", "Hello", to=["Ann <>"]), NotCarried, "is not one address"),
    "two reply_to": (lambda: EmailMessage("Hi", "Hello", to=TO, reply_to=TO * 2), NotCarried, "several addresses"),
    "a To header": (lambda: EmailMessage("Hi", "Hello", to=TO, headers={"To": "List"}), NotCarried, "header To"),
    "a calendar": (lambda: with_alternative("text/calendar"), NotCarried, "other alternatives"),
    "a body of HTML": (html_body, NotCarried, "attach_alternative"),
    "a mail of its own": (lambda: Signed("Hi", "Hello", to=TO), NotCarried, "builds a mail of its own"),
    "a multipart file": (lambda: with_file(multipart()), NotCarried, "of several parts"),
    "a described file": (lambda: with_file(described()), NotCarried, "content-description"),
    "an inline file without an id": (lambda: with_file(inline()), NotCarried, "without a Content-ID"),
    "an unsubscription by mail": (
        lambda: EmailMessage("Hi", "Hello", to=TO, headers={"List-Unsubscribe": "<mailto:a@example.com>"}),
        NotCarried,
        "one https URL",
    ),
    "a Message-ID": (
        lambda: EmailMessage("Hi", "Hello", to=TO, headers={"Message-ID": "<a@b>"}),
        InvalidRequest,
        "/headers/Message-ID is a header that this system writes",
    ),
    "a line break": (lambda: EmailMessage("Hi\r\nBcc: x@y.example", "Hello", to=TO), InvalidRequest, "/subject"),
    "another sender": (lambda: EmailMessage("Hi", "Hello", "x@evil.example", TO), InvalidRequest, "/from must be"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_unsupported_parts_of_a_message_are_refused(case: str, world: World) -> None:
    message, error, text = REFUSED[case]
    before = world.system.sql.rows("SELECT count(*) FROM notifications")

    with pytest.raises(error, match=text):
        EmailBackend().send_messages([message()])
    assert EmailBackend(fail_silently=True).send_messages([message()]) == 0

    assert world.system.sql.rows("SELECT count(*) FROM notifications") == before


def test_fail_silently_skips_only_the_failing_messages(world: World) -> None:
    good = [EmailMessage("Hi", "Hello", None, [to]) for to in world.recipients(2)]

    assert EmailBackend(fail_silently=True).send_messages([good[0], html_body(), good[1]]) == 2


def test_without_an_api_the_mail_is_an_error_unless_silent() -> None:
    nowhere = {"url": f"http://127.0.0.1:{free_port()}", "retry_for": 0.0}
    message = EmailMessage("Hi", "Hello", to=TO)

    with pytest.raises(ConnectionFailed):
        EmailBackend(**nowhere).send_messages([message])  # type: ignore[arg-type]
    assert EmailBackend(fail_silently=True, **nowhere).send_messages([message]) == 0  # type: ignore[arg-type]


def test_a_message_without_recipients_is_not_sent() -> None:
    assert EmailBackend().send_messages([EmailMessage("Hi", "Hello")]) == 0


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ({}, "give the url of the API"),
        ({"url": "notify.example.com"}, "must be a URL"),
        ({"url": "https://notify.example.com", "key": "a b"}, "without spaces"),
        ({"url": "https://notify.example.com", "kye": "a"}, "unknown options"),
    ],
)
def test_a_wrong_setting_is_reported_by_name(configuration: dict[str, str], message: str) -> None:
    with override_settings(NOTIFICATIONS=configuration), pytest.raises(ImproperlyConfigured, match=message):
        EmailBackend().send_messages([EmailMessage("Hi", "Hello", to=TO)])


def test_options_of_smtp_are_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="password"):
        EmailBackend(password="secret")
    EmailBackend(username=None, password=None)
