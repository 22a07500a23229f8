"""URL of the mailbox of `notify bounces --imap`, and the options that go with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.bounces.mailbox import EXAMPLE, Mailbox, mailbox, password_in
from cli.main import notify
from settings import SettingsError


def read(url: str, password: str = "secret", move_to: str = "") -> Mailbox:
    return mailbox(url, password, move_to)


def test_a_url_says_which_folder_of_whom_is_read() -> None:
    found = read(EXAMPLE)
    assert (found.host, found.port, found.starttls) == ("imap.example.com", 993, False)
    assert (found.user, found.folder) == ("bounces@example.com", "INBOX")


def test_starttls_has_another_port_and_a_folder_any_name() -> None:
    found = read("imap://ann@[::1]/Archive%2FB%C3%A4lle")
    assert (found.host, found.port, found.starttls, found.folder) == ("::1", 143, True, "Archive/Bälle")
    assert read("imaps://ann@localhost:1993").folder == "INBOX"


def test_a_mailbox_does_not_show_its_password() -> None:
    assert "secret" not in repr(read(EXAMPLE))


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("imaps://ann:hidden@imap.example.com", "set IMAP_PASSWORD instead"),
        ("imaps://imap.example.com/INBOX", "must look like imaps://"),
        ("pop3://ann@pop.example.com", "must look like imaps://"),
        ("imaps://ann@", "must look like imaps://"),
        ("imaps://ann@imap.example.com:99999", "is malformed"),
        ("imaps://ann@imap.example.com?tls=off", "unknown option 'tls'"),
        ("imaps://ann@imap.example.com?ca=/nowhere.pem", "ca=/nowhere.pem, which cannot be used"),
        ("imaps://ann%0D%0Ax@imap.example.com", "a control character"),
        ("imaps://ann@imap.example.com/IN%00BOX", "a control character"),
    ],
)
def test_a_wrong_url_is_refused_without_its_password(url: str, fault: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read(url)
    assert str(refused.value).startswith("--imap ")
    assert fault in str(refused.value)
    assert "hidden" not in str(refused.value)


def test_messages_are_not_moved_to_the_folder_that_is_read() -> None:
    with pytest.raises(SettingsError, match="--move-to is the folder of --imap"):
        read(EXAMPLE, move_to="inbox")
    with pytest.raises(SettingsError, match="--move-to has a control character"):
        read(EXAMPLE, move_to="a\r\nb")


def test_a_password_is_needed_and_may_be_in_a_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="set IMAP_PASSWORD, or give --password-file"):
        read(EXAMPLE, password="")
    file = tmp_path / "password"
    file.write_text(" pä ss \n")
    assert password_in(file) == " pä ss "
    file.write_bytes(b"\xff")
    with pytest.raises(SettingsError, match=r"password-file .* cannot be read \(it is not UTF-8\)"):
        password_in(file)


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--move-to", "Read"], "--move-to needs --imap"),
        (["--imap", EXAMPLE, "--lmtp"], "--lmtp does not go with --imap"),
        (["--imap", EXAMPLE, "--listen", "127.0.0.1:25"], "--listen does not go with --imap"),
    ],
)
def test_options_of_the_other_way_in_are_refused(words: list[str], fault: str) -> None:
    done = CliRunner().invoke(notify, ["bounces", *words])
    assert (done.exit_code, fault in done.output) == (2, True), done.output
