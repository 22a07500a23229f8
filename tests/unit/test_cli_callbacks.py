"""`notify callbacks`, and the options of `send` and `list` for tags: their requests and their output."""

from __future__ import annotations

import json

import pytest

from tests.unit.test_cli_client import SENT, Api, api

__all__ = ["api"]

ENDPOINT = {
    "id": 3,
    "url": "https://e.com/\x1b",
    "description": "",
    "events": ["sent", "failed"],
    "disabledReason": None,
}
DELIVERY = {"id": 6, "event": "notification.sent", "notificationId": 5, "status": "failed", "lastError": "500\x1b no"}


def test_create_shows_the_secret(api: Api) -> None:
    api.will_say({**ENDPOINT, "secret": "whsec_x"}, status=201)

    words = ("callbacks", "create", "https://e.com/", "--event", "sent", "--event", "failed", "--description", "d")
    result = api.run(*words)

    assert (result.exit_code, result.stdout) == (
        0,
        "Endpoint 3: https://e.com/\\u001b\nSecret (shown only now): whsec_x\n",
    )
    [(method, path, body)] = api.asked
    assert (method, path) == ("POST", "/api/callbacks")
    assert json.loads(body) == {"url": "https://e.com/", "events": ["sent", "failed"], "description": "d"}


def test_options_that_are_not_given_are_not_sent(api: Api) -> None:
    api.will_say({**ENDPOINT, "secret": "whsec_x"}, status=201)
    assert api.run("callbacks", "create", "https://e.com/").exit_code == 0
    assert json.loads(api.asked[0][2]) == {"url": "https://e.com/"}


@pytest.mark.parametrize(
    ("words", "said", "asked", "shown"),
    [
        (["list"], {"items": [ENDPOINT]}, ("GET", ""), "sent,failed"),
        (["rotate", "3"], {**ENDPOINT, "secret": "whsec_y"}, ("POST", "/3/rotate-secret"), "whsec_y"),
        (["delete", "3"], ENDPOINT, ("DELETE", "/3"), "Endpoint 3 is deleted."),
        (["deliveries", "3"], {"items": [DELIVERY], "nextCursor": "c"}, ("GET", "/3/deliveries"), "--cursor c"),
        (["deliveries", "3", "--status", "failed"], {"items": []}, ("GET", "/3/deliveries?status=failed"), "STATUS"),
        (["disable", "3"], {**ENDPOINT, "disabled": True}, ("PATCH", "/3"), "Endpoint 3 is disabled."),
        (["enable", "3"], {**ENDPOINT, "disabled": False}, ("PATCH", "/3"), "Endpoint 3 is enabled."),
        (["test", "3"], {**DELIVERY, "event": "callback.test"}, ("POST", "/3/test"), "Delivery 6 is a test."),
        (["retry", "3", "6"], {**DELIVERY, "status": "pending"}, ("POST", "/3/deliveries/6/retry"), "6: pending"),
    ],
)
def test_each_command_sends_its_request_and_shows_the_response(
    api: Api, words: list[str], said: object, asked: tuple[str, str], shown: str
) -> None:
    for options in ([], ["--json"]):
        api.will_say(said)
        result = api.run("callbacks", *words, *options)
        assert result.exit_code == 0, result.output
        assert "\x1b" not in result.stdout
        assert (api.asked[-1][0], api.asked[-1][1].removeprefix("/api/callbacks")) == asked
        if options:
            assert json.loads(result.stdout) == said
        else:
            assert shown in result.stdout


def test_show_prints_the_recent_results_of_an_endpoint(api: Api) -> None:
    health = {"lastSuccessAt": None, "lastFailureAt": "2024-01-01T10:00:00.5Z", "failingSince": None, "waiting": 0}
    for options in ([], ["--json"]):
        api.will_say(ENDPOINT, health)
        result = api.run("callbacks", "show", "3", *options)
        assert result.exit_code == 0, result.output
        if options:
            assert json.loads(result.stdout) == {**ENDPOINT, "health": health}
        else:
            assert "Last failure     2024-01-01 10:00:00Z\nWaiting          0\n" in result.stdout
            assert "\x1b" not in result.stdout
    assert [path for _, path, _ in api.asked[:2]] == ["/api/callbacks/3", "/api/callbacks/3/health"]


def test_all_failed_deliveries_are_retried_in_steps(api: Api) -> None:
    api.will_say({"retried": 2, "more": True}, {"retried": 1, "more": False})
    result = api.run("callbacks", "retry", "3", "--failed")
    assert (result.exit_code, result.stdout) == (0, "Pending again: 3\n")
    assert [path for _, path, _ in api.asked] == ["/api/callbacks/3/retry"] * 2


def test_retry_takes_one_delivery_or_all_that_failed(api: Api) -> None:
    for words in (["retry", "3"], ["retry", "3", "6", "--failed"]):
        result = api.run("callbacks", *words)
        assert (result.exit_code, "give either a DELIVERY or --failed" in result.stderr) == (2, True)
    assert api.asked == []


def test_a_refusal_is_exit_code_1(api: Api) -> None:
    api.will_say({"title": "Not Found", "detail": "There is no callback endpoint with this id."}, status=404)
    result = api.run("callbacks", "rotate", "9")
    assert (result.exit_code, result.stderr) == (1, "Error: There is no callback endpoint with this id.\n")


def test_send_takes_tags_and_metadata(api: Api) -> None:
    api.will_say(SENT, status=201)
    words = ("--tag", "a", "--tag", "b", "--metadata", "orderId=42", "--metadata", "q=a=b")

    assert api.run("send", "--to", "a@example.com", "--message", "Hello", *words).exit_code == 0

    sent = json.loads(api.asked[0][2])
    assert (sent["tags"], sent["metadata"]) == (["a", "b"], {"orderId": "42", "q": "a=b"})


@pytest.mark.parametrize("pair", ["orderId", "=42"])
def test_metadata_without_an_equals_sign_is_a_usage_error(api: Api, pair: str) -> None:
    assert api.run("send", "--to", "a", "--message", "b", "--metadata", pair).exit_code == 2


def test_list_takes_several_tags(api: Api) -> None:
    api.will_say({"items": [], "nextCursor": None})
    assert api.run("list", "--tag", "a", "--tag", "b c").exit_code == 0
    assert api.asked[0][1] == "/api/notifications?tag=a&tag=b+c"
