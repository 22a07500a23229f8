"""The mail catcher, used by a mail client."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from api.dashboard.mailbox import Mailbox
from cli.up.catcher import Catcher
from cli.up.mailbox import Slot

MAIL = b"From: b@example.com\r\nSubject: Hello\r\n\r\n.Hello\r\n"


@pytest.fixture
def catcher(tmp_path: Path) -> Iterator[Catcher]:
    one = Catcher(Slot(tmp_path, keep=2))
    one.start()
    yield one
    one.stop()


def test_every_mail_is_stored_and_only_the_newest_are_kept(catcher: Catcher, tmp_path: Path) -> None:
    with _client(catcher) as client:
        for n in range(3):
            client.sendmail("b@example.com", [f"{n}@example.com", "c@example.com"], MAIL)

    mails = Mailbox(tmp_path)
    assert mails.numbers() == [2, 3]
    mail = mails.read(3)
    assert mail is not None
    assert mail.get_all("X-Envelope-To") == ["2@example.com", "c@example.com"]
    assert mail.get_content() == ".Hello\r\n"


def test_addresses_beyond_ascii_are_taken(catcher: Catcher, tmp_path: Path) -> None:
    with _client(catcher) as client:
        client.sendmail("b@example.com", ["jürgen@exämple.com"], MAIL, ["SMTPUTF8"])

    mail = Mailbox(tmp_path).read(1)
    assert mail is not None
    assert mail["X-Envelope-To"] == "jürgen@exämple.com"


def test_a_mail_that_cannot_be_stored_is_not_acknowledged(catcher: Catcher, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Slot, "put", full)

    with _client(catcher) as client, pytest.raises(smtplib.SMTPDataError) as refused:
        client.sendmail("b@example.com", ["a@example.com"], MAIL)

    assert (refused.value.smtp_code, refused.value.smtp_error) == (
        452,
        b"4.3.1 Cannot store the mail: No space left on device",
    )


def test_a_stop_ends_open_conversations_and_a_new_start_has_the_same_port(catcher: Catcher) -> None:
    before = catcher.url
    client = _client(catcher)
    client.ehlo()

    catcher.stop()

    assert not catcher.alive
    client.close()
    catcher.start()
    assert catcher.url == before


def test_the_catcher_listens_on_loopback_only(catcher: Catcher) -> None:
    assert urlsplit(catcher.url).hostname == "127.0.0.1"


def _client(catcher: Catcher) -> smtplib.SMTP:
    place = urlsplit(catcher.url)
    return smtplib.SMTP(place.hostname or "", place.port or 0, timeout=10)
