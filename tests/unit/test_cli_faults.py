"""Faults that the API finds are shown with the option that was typed, in every command."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from cli.main import notify
from cli.terminal.faults import explained
from tests.unit.test_cli_client import Api, api

__all__ = ["api"]  # the fixture

SCHEMAS = Path(__file__).parents[2] / "api" / "schemas"
# Fields of a request that its command has no option for, and so never sends wrongly.
WITHOUT_OPTION = {"type", "limit", "createdTo", "disabled"}


def command(words: str) -> click.Command:
    found: click.Command = notify
    for word in words.split():
        assert isinstance(found, click.Group)
        one = found.get_command(click.Context(found), word)
        assert one is not None
        found = one
    return found


@pytest.mark.parametrize(
    ("words", "place", "shown"),
    [
        ("send", {"pointer": "/sendAt"}, "--at"),
        ("send", {"pointer": "/recipient"}, "--to"),
        ("send", {"pointer": "/cc/1"}, "--cc (number 2)"),
        ("send", {"pointer": "/attachments/0/filename"}, "--attach (number 1) filename"),
        ("send", {"pointer": "/headers/X~1A~0"}, "--header X/A~"),
        ("send", {"header": "Idempotency-Key"}, "--idempotency-key"),
        ("send", {"pointer": "/type"}, "--type"),
        ("send", {"pointer": ""}, "the request"),
        ("list", {"parameter": "limit"}, "--limit"),
        ("follow", {"header": "Last-Event-ID"}, "--after"),
        ("retry", {"pointer": "/filter/createdFrom"}, "--since"),
        ("retry", {"pointer": "/filter/lastOutcome"}, "--reason"),
        ("retry", {"pointer": "/filter"}, "filter"),
        ("templates show", {"parameter": "name"}, "NAME"),
        ("templates preview", {"pointer": "/variables/order/2/price"}, "--variables order (number 3) price"),
        ("suppressions add", {"pointer": "/address"}, "ADDRESS"),
        ("suppressions add", {"pointer": "/expiresAt"}, "--until"),
        ("callbacks create", {"pointer": "/url"}, "URL"),
        ("clients update", {"pointer": "/rateLimit"}, "--rate-limit"),
        ("keys create", {"pointer": "/scopes/0"}, "--scope (number 1)"),
    ],
)
def test_a_fault_names_the_option_that_was_typed(words: str, place: dict[str, str], shown: str) -> None:
    assert explained([{**place, "detail": "is wrong"}], command(words)) == [f"{shown}: is wrong"]


@pytest.mark.parametrize(
    ("words", "schema"),
    [
        ("send", "notification"),
        ("callbacks create", "callback"),
        ("templates put", "template"),
        ("templates preview", "preview"),
        ("retry", "retry"),
        ("clients create", "client"),
        ("clients update", "client_changes"),
        ("keys create", "key"),
    ],
)
def test_every_field_that_a_command_sends_has_an_option(words: str, schema: str) -> None:
    properties = json.loads((SCHEMAS / f"{schema}.json").read_text())["properties"]
    within = properties.pop("filter", {}).get("properties", {})
    pointers = [f"/{name}" for name in properties] + [f"/filter/{name}" for name in within]
    missing = {
        pointer.rpartition("/")[2]
        for pointer in pointers
        if not explained([{"pointer": pointer, "detail": "x"}], command(words))[0].startswith(("--", "URL"))
    }
    assert missing <= WITHOUT_OPTION


def test_a_detail_that_names_another_field_names_its_option() -> None:
    fault = {"pointer": "/expiresAt", "detail": "must be after sendAt, whatever the createdAt"}
    assert explained([fault], command("send")) == ["--expires: must be after --at, whatever the createdAt"]


def test_faults_without_a_command_keep_the_names_of_the_api() -> None:
    assert explained([{"pointer": "/sendAt", "detail": "is wrong"}], None) == ["sendAt: is wrong"]


@pytest.mark.parametrize(
    ("words", "fault", "shown"),
    [
        (["list", "--limit", "9999"], {"parameter": "limit"}, "--limit: no"),
        (["retry", "--failed", "--since", "yesterday"], {"pointer": "/filter/createdFrom"}, "--since: no"),
        (["follow", "--after", "7"], {"header": "Last-Event-ID"}, "--after: no"),
        (["callbacks", "create", "nowhere"], {"pointer": "/url"}, "URL: no"),
        (["suppressions", "add", "ann"], {"pointer": "/address"}, "ADDRESS: no"),
        (["templates", "preview", "a"], {"pointer": "/variables/name"}, "--variables name: no"),
    ],
)
def test_every_command_names_its_own_option_in_a_refusal(
    api: Api, words: list[str], fault: dict[str, str], shown: str
) -> None:
    api.will_say({"detail": "The request has 1 fault.", "errors": [{**fault, "detail": "no"}]}, status=422)
    result = api.run(*words)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: The request has 1 fault.\n  {shown}\n")
