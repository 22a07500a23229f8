"""Options that read a file or standard input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import notify
from tests.unit.test_cli_client import SENT, Api, api

__all__ = ["api"]  # the fixture

SEND = ("send", "--to", "a@example.com")


def run(api: Api, given: bytes, *words: str) -> Result:
    return CliRunner().invoke(notify, list(words), input=given, env={"NOTIFY_URL": api.url})


@pytest.mark.parametrize(
    ("words", "given", "sent"),
    [
        (("--message", "-"), "Grüße\n", {"message": "Grüße\n"}),
        (("--message", "x", "--html", "-"), "<p>", {"message": "x", "html": "<p>"}),
        (("--template", "t", "--variables", "-"), '{"n": 1}', {"template": "t", "variables": {"n": 1}}),
        (("--message", "- x"), "", {"message": "- x"}),
    ],
)
def test_a_dash_means_standard_input(api: Api, words: tuple[str, ...], given: str, sent: dict[str, object]) -> None:
    api.will_say(SENT, status=201)
    assert run(api, given.encode(), *SEND, *words).exit_code == 0
    assert json.loads(api.asked[0][2]) == {"type": "email", "recipient": "a@example.com", **sent}


def test_a_template_and_its_preview_read_standard_input_too(api: Api) -> None:
    api.will_say({"name": "t", "version": 1}, status=201)
    assert run(api, b"Hello", "templates", "put", "t", "--subject", "s", "--text", "-").exit_code == 0
    assert json.loads(api.asked[0][2]) == {"subject": "s", "text": "Hello"}
    api.will_say({"template": {"name": "t", "version": 1}, "subject": "s", "message": "m", "html": None})
    assert run(api, b'{"n": 1}', "templates", "preview", "t", "--variables", "-").exit_code == 0
    assert json.loads(api.asked[1][2]) == {"variables": {"n": 1}}


@pytest.mark.parametrize(
    ("words", "given", "sentence"),
    [
        (("--message", "-", "--html", "-"), b"x", "--html: standard input is read by --message already: give a file"),
        (("--message", "-"), b"\xff", "--message: standard input is not UTF-8 text"),
        (("--template", "t", "--variables", "-"), b'{"a"\n 1}', "--variables: is not JSON (line 2, column 2)"),
        (("--template", "t", "--variables", "{"), b"", "--variables: is not JSON (line 1, column 2)"),
    ],
)
def test_unreadable_input_is_a_usage_error(api: Api, words: tuple[str, ...], given: bytes, sentence: str) -> None:
    result = run(api, given, *SEND, *words)
    assert (result.exit_code, sentence in result.stderr) == (2, True), result.stderr
    assert api.asked == []


def test_a_file_that_is_not_utf_8_is_named(api: Api, tmp_path: Path) -> None:
    (tmp_path / "mail.html").write_bytes(b"\xff")
    result = run(api, b"", *SEND, "--message", "x", "--html", str(tmp_path / "mail.html"))
    assert result.exit_code == 2
    assert f"--html: {tmp_path}/mail.html is not UTF-8 text" in result.stderr
