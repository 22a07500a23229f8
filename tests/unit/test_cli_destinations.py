"""`notify destinations`: its requests and its output."""

from __future__ import annotations

import json

import pytest

from tests.unit.test_cli_client import Api, api

__all__ = ["api"]

SLACK = {"name": "alerts", "kind": "slack", "host": "hooks.slack.com", "hint": "wxyz", "description": "\x1b"}


def test_create_shows_the_secret_of_a_webhook(api: Api) -> None:
    api.will_say({"name": "orders", "kind": "webhook", "host": "e.com", "secret": "whsec_x"}, status=201)
    result = api.run("destinations", "create", "orders", "--kind", "webhook", "--target", "https://e.com/")
    assert (result.exit_code, result.stdout) == (
        0,
        "Destination orders: webhook, e.com\nSecret (shown only now): whsec_x\n",
    )
    [(method, path, body)] = api.asked
    assert (method, path) == ("POST", "/api/destinations")
    assert json.loads(body) == {"name": "orders", "kind": "webhook", "url": "https://e.com/"}


def test_a_token_may_come_from_standard_input(api: Api) -> None:
    api.will_say({"name": "oncall", "kind": "telegram", "host": "api.telegram.org", "secret": None}, status=201)
    words = ("destinations", "create", "oncall", "--kind", "telegram", "--token", "-", "--chat-id", "-100")
    result = api.run(*words, typed="123:abc\n")
    assert result.stdout == "Destination oncall: telegram, api.telegram.org\n"
    expected = {"name": "oncall", "kind": "telegram", "token": "123:abc", "chatId": "-100"}
    assert json.loads(api.asked[0][2]) == expected


def test_a_refusal_names_the_options_that_were_typed(api: Api) -> None:
    errors = [{"pointer": "/url", "detail": "is required for slack"}, {"pointer": "/chatId", "detail": "is wrong"}]
    api.will_say({"title": "Unprocessable Content", "status": 422, "detail": "2 faults", "errors": errors}, status=422)
    result = api.run("destinations", "create", "alerts", "--kind", "slack")
    assert result.exit_code != 0
    assert "--target: is required for slack" in result.stderr
    assert "--chat-id: is wrong" in result.stderr


@pytest.mark.parametrize(
    ("words", "said", "asked", "shown"),
    [
        (["list"], {"items": [SLACK], "nextCursor": "c"}, ("GET", ""), "--cursor c"),
        (["show", "alerts"], SLACK, ("GET", "/alerts"), "hooks.slack.com"),
        (["change", "alerts", "--target", "https://e.com/"], SLACK, ("PATCH", "/alerts"), "alerts: slack"),
        (["rotate", "orders"], {**SLACK, "secret": "whsec_y"}, ("POST", "/orders/rotate-secret"), "whsec_y"),
        (["delete", "alerts"], {}, ("DELETE", "/alerts"), "Destination alerts: deleted"),
    ],
)
def test_each_command_sends_its_request_and_shows_the_response(
    api: Api, words: list[str], said: object, asked: tuple[str, str], shown: str
) -> None:
    api.will_say(said)
    result = api.run("destinations", *words)
    assert result.exit_code == 0, result.output
    assert shown in result.stdout
    assert "\x1b" not in result.stdout
    [(method, path, _)] = api.asked
    assert (method, path) == (asked[0], f"/api/destinations{asked[1]}")


def test_a_change_without_a_field_is_a_usage_error(api: Api) -> None:
    result = api.run("destinations", "change", "alerts")
    assert result.exit_code == 2
    assert "--target" in result.stderr
    assert not api.asked
