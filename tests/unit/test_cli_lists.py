"""`notify templates` and `notify suppressions`, against a server with scripted answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.test_cli_client import Api, api

__all__ = ["api"]  # the fixture

TEMPLATE = {"name": "welcome", "version": 2, "subject": "Hi", "text": "Hello\x1b[2J", "html": None, "schema": {"a": 1}}
ENTRY = {"address": "ann@example.com", "reason": "manual", "source": "asked", "createdAt": "now", "expiresAt": None}


def test_a_template_is_put_from_files(api: Api, tmp_path: Path) -> None:
    api.will_say(TEMPLATE, status=201)
    for name, text in (("t.txt", "Hello"), ("t.html", "<p>"), ("s.json", '{"type": "object"}')):
        (tmp_path / name).write_text(text)
    files = {"--text": "t.txt", "--html": "t.html", "--schema": "s.json"}
    words = [word for option, name in files.items() for word in (option, str(tmp_path / name))]

    result = api.run("templates", "put", "welcome", "--subject", "Hi", *words)

    assert (result.exit_code, result.output) == (0, "Template welcome, version 2\n")
    [(method, path, body)] = api.asked
    assert (method, path) == ("PUT", "/api/templates/welcome")
    assert json.loads(body) == {"subject": "Hi", "text": "Hello", "html": "<p>", "schema": {"type": "object"}}


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000])
def test_a_schema_that_is_no_object_is_a_usage_error(api: Api, tmp_path: Path, text: str) -> None:
    (tmp_path / "t").write_text(text)

    result = api.run(
        "templates", "put", "a", "--subject", "s", "--text", str(tmp_path / "t"), "--schema", str(tmp_path / "t")
    )

    assert result.exit_code == 2
    assert "--schema" in result.output
    assert not api.asked


def test_a_template_is_shown_with_nothing_that_a_terminal_obeys(api: Api) -> None:
    api.will_say(TEMPLATE)
    result = api.run("templates", "show", "welcome", "--version", "2")

    assert api.asked[0][:2] == ("GET", "/api/templates/welcome/versions/2")
    assert "\x1b" not in result.output
    assert "text:\nHello\\u001b[2J" in result.output


def test_a_preview_sends_the_variables(api: Api) -> None:
    api.will_say({"template": {"name": "welcome", "version": 1}, "subject": "Hi Ann", "message": "Hello", "html": None})
    result = api.run("templates", "preview", "welcome", "--variables", '{"name": "Ann"}', "--version", "1")

    assert json.loads(api.asked[0][2]) == {"variables": {"name": "Ann"}, "version": 1}
    assert result.output == "Template welcome, version 1\n\nsubject:\nHi Ann\n\nmessage:\nHello\n"


def test_templates_are_listed_with_how_to_see_more(api: Api) -> None:
    api.will_say({"items": [{"name": "welcome", "version": 2, "createdAt": "now"}], "nextCursor": "abc"})
    result = api.run("templates", "list", "--cursor", "xyz")

    assert api.asked[0][1] == "/api/templates?cursor=xyz"
    assert "welcome" in result.output
    assert "--cursor abc" in result.output


def test_deletions_with_an_empty_response_are_confirmed(api: Api) -> None:
    api.answers = [(200, b"")]

    assert api.run("templates", "delete", "welcome").output == "Template welcome: deleted\n"
    assert api.run("suppressions", "remove", "a/b@example.com").output == "a/b@example.com: no longer suppressed\n"
    assert [asked[:2] for asked in api.asked] == [
        ("DELETE", "/api/templates/welcome"),
        ("DELETE", "/api/suppressions/a%2Fb@example.com"),
    ]


def test_an_address_is_put_on_the_list_and_listed(api: Api) -> None:
    api.will_say(ENTRY, {"items": [ENTRY], "nextCursor": None})

    added = api.run("suppressions", "add", "ann@example.com", "--source", "asked", "--until", "2030-01-01T00:00:00Z")
    listed = api.run("suppressions", "list", "--reason", "manual")

    assert added.output == "ann@example.com: suppressed\n"
    assert json.loads(api.asked[0][2]) == {
        **{"address": "ann@example.com", "source": "asked", "expiresAt": "2030-01-01T00:00:00Z"}
    }
    assert api.asked[1][1] == "/api/suppressions?reason=manual"
    assert "asked" in listed.output


def test_sending_takes_a_template_and_variables_in_json(api: Api) -> None:
    api.will_say({"id": 5, "status": "pending"}, status=201)

    assert api.run("send", "--to", "a@example.com", "--template", "welcome", "--variables", '{"n": 1}').exit_code == 0
    assert json.loads(api.asked[0][2]) == {
        **{"type": "email", "recipient": "a@example.com", "template": "welcome", "variables": {"n": 1}}
    }
    assert api.run("send", "--to", "a@example.com", "--template", "welcome", "--variables", "{").exit_code == 2
