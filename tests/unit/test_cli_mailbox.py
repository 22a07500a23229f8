"""The files that caught mails are kept in, and `notify inbox`, which reads them."""

from __future__ import annotations

import json
from email.message import EmailMessage
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from api.dashboard.mailbox import Mailbox
from cli.main import notify
from cli.up.mailbox import Slot


def _mail(subject: str = "Hello", text: str = "Grüße\n") -> bytes:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "b@example.com", "a@example.com", subject
    mail.set_content(text)
    mail.add_alternative("<p>Grüße</p>", subtype="html")
    return mail.as_bytes()


def _inbox(directory: Path, *words: str) -> Result:
    return CliRunner().invoke(notify, ["inbox", *words], env={"DATA_DIR": str(directory)})


def test_a_caught_mail_is_stored_unchanged_below_its_envelope(tmp_path: Path) -> None:
    raw = _mail()
    number = Slot(tmp_path, keep=10).put("b@example.com", ["a@example.com", "hidden@example.com"], raw)

    mail = Mailbox(tmp_path).read(number)

    assert mail is not None
    assert mail["X-Envelope-From"] == "b@example.com"
    assert mail.get_all("X-Envelope-To") == ["a@example.com", "hidden@example.com"]
    assert Mailbox(tmp_path).path(number).read_bytes().endswith(raw)


def test_only_the_newest_mails_are_kept(tmp_path: Path) -> None:
    slot = Slot(tmp_path, keep=3)
    for _ in range(5):
        slot.put("b@example.com", ["a@example.com"], _mail())

    assert Mailbox(tmp_path).numbers() == [3, 4, 5]


def test_numbers_continue_after_a_restart_and_a_lower_limit_holds_at_once(tmp_path: Path) -> None:
    for _ in range(3):
        Slot(tmp_path, keep=10).put("b@example.com", ["a@example.com"], _mail())

    assert Slot(tmp_path, keep=1).put("b@example.com", ["a@example.com"], _mail()) == 4
    assert Mailbox(tmp_path).numbers() == [4]


def test_a_mail_half_written_at_a_crash_is_hidden_and_removed(tmp_path: Path) -> None:
    (tmp_path / ".00000001.eml.tmp").write_bytes(b"From: ")

    assert Mailbox(tmp_path).numbers() == []
    Slot(tmp_path, keep=1)
    assert list(tmp_path.iterdir()) == []


def test_an_address_beyond_ascii_is_kept(tmp_path: Path) -> None:
    Slot(tmp_path, keep=1).put("", ["jürgen@exämple.com"], b"Subject: x\r\n\r\n")

    result = _inbox_of(tmp_path, "1", "--json")

    assert json.loads(result.stdout)["to"] == ["jürgen@exämple.com"]


@pytest.mark.parametrize(("words", "shown"), [([], "No mail has been caught yet.\n"), (["--json"], '{"items": []}\n')])
def test_an_empty_inbox_is_reported(tmp_path: Path, words: list[str], shown: str) -> None:
    Slot(tmp_path / "mail", keep=9)

    result = _inbox(tmp_path, *words)

    assert (result.exit_code, result.stdout) == (0, shown)


@pytest.mark.parametrize("words", [[], ["--json"], ["7"]])
def test_a_directory_without_caught_mails_is_an_error(tmp_path: Path, words: list[str]) -> None:
    result = _inbox(tmp_path / "elsewhere", *words)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"Error: {tmp_path}/elsewhere has no caught mails: ")
    assert "DATA_DIR" in result.stderr


@pytest.mark.parametrize(
    ("date", "for_programs", "for_people"),
    [
        ("Mon, 01 Jan 2024 12:00:00 +0200", "2024-01-01T10:00:00Z", "2024-01-01 10:00:00Z"),
        ("Mon, 01 Jan 2024 10:00:00 -0000", "2024-01-01T10:00:00Z", "2024-01-01 10:00:00Z"),
        ("yesterday", None, ""),
    ],
)
def test_the_date_of_a_mail_is_shown_as_all_times_are(
    tmp_path: Path, date: str, for_programs: str | None, for_people: str
) -> None:
    Slot(tmp_path / "mail", keep=9).put("b@example.com", ["a@example.com"], f"Date: {date}\r\n\r\n".encode())

    [mail] = json.loads(_inbox(tmp_path, "--json").stdout)["items"]
    assert mail["date"] == for_programs
    assert _inbox(tmp_path).stdout.splitlines()[1].split() == ["1", *for_people.split(), "a@example.com"]


def test_the_inbox_lists_the_newest_first(tmp_path: Path) -> None:
    for subject in ("first", "second", "third"):
        Slot(tmp_path / "mail", keep=9).put("b@example.com", ["a@example.com"], _mail(subject))

    listed = json.loads(_inbox(tmp_path, "--json", "--limit", "2").stdout)["items"]

    assert [(mail["number"], mail["subject"]) for mail in listed] == [(3, "third"), (2, "second")]


def test_a_mail_is_shown_decoded_and_without_terminal_control_codes(tmp_path: Path) -> None:
    Slot(tmp_path / "mail", keep=9).put("b@example.com", ["a@example.com"], _mail("=?utf-8?q?=1b[2J?=", "Grüße\x1b"))

    shown = _inbox(tmp_path, "1").stdout

    assert shown.endswith("\n\nGrüße\\u001b\n\n")
    assert "\x1b" not in shown


@pytest.mark.parametrize("charset", ["utf-8", "no-such-charset"])
def test_a_body_in_an_unknown_charset_is_still_shown(tmp_path: Path, charset: str) -> None:
    raw = f"Content-Type: text/plain; charset={charset}\r\n\r\nGr\u00fc\u00dfe".encode()
    Slot(tmp_path / "mail", keep=9).put("b@example.com", ["a@example.com"], raw)

    assert json.loads(_inbox(tmp_path, "1", "--json").stdout)["text"] == "Grüße"


def test_an_unknown_mail_is_reported(tmp_path: Path) -> None:
    Slot(tmp_path / "mail", keep=9)

    result = _inbox(tmp_path, "7")

    assert result.exit_code == 1
    assert result.stderr == f"Error: There is no mail 7 in {tmp_path}/mail: see `notify inbox`\n"


def _inbox_of(mail: Path, *words: str) -> Result:
    home = mail.with_name(mail.name + "-home")
    home.mkdir()
    (home / "mail").symlink_to(mail)
    return _inbox(home, *words)
