"""Bodies that are accepted as JSON, and bodies that are refused."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from cli.servers.valkey import Valkey
from tests.client import NOTIFICATIONS, Response
from tests.contract import CheckedClient, faults
from tests.integration.api import running

NEEDED = {"type": "email", "recipient": "test@example.com", "message": "Hello"}


@pytest.fixture(scope="module")
def client(module_database_url: str, redis_server: Valkey) -> Iterator[CheckedClient]:
    with running(module_database_url, redis_server.url) as api, api.client as client:
        yield client


def post(client: CheckedClient, body: bytes, content_type: str = "application/json") -> Response:
    return client.request("POST", NOTIFICATIONS, body, {"Content-Type": content_type})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"{",
        b'{"type":"email"',
        b"{'type':1}",
        b"{}{}",
        b"// no\n{}",
        b"\xef\xbb\xbf{}",
        json.dumps(NEEDED).encode("utf-16"),
        b'{"message":NaN}',
        b'{"message":Infinity}',
        b'{"message":-Infinity}',
        b'{"message":1e400}',
        b'{"message":-1e400}',
        b'{"message":' + b"9" * 5000 + b"}",
        b'{"message":"\\ud800"}',
        b'{"message":"\\udc00\\ud800"}',
        b'{"message":"\xed\xa0\x80"}',
        b'{"message":"\xff"}',
        b'{"message":"a\x00b"}',
        b'{"message":"\xc0\xaf"}',
    ],
)
def test_body_that_is_not_json_in_utf_8_is_refused(client: CheckedClient, body: bytes) -> None:
    refused = post(client, body)

    assert refused.status == 400
    assert faults(refused)[""].startswith("is not JSON in UTF-8: ")


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
def test_a_body_nested_a_hundred_thousand_deep_is_refused(client: CheckedClient, opening: bytes) -> None:
    assert post(client, opening * 100_000).status == 400


@pytest.mark.parametrize("document", ["[]", "null", "1", '"email"', "[" * 20 + "]" * 20])
def test_json_other_than_an_object_is_refused(client: CheckedClient, document: str) -> None:
    refused = post(client, document.encode())

    assert refused.status == 422
    assert faults(refused) == {"": "must be an object"}


def test_nesting_is_refused_above_its_limit(client: CheckedClient) -> None:
    refused = post(client, b"[" * 21 + b"]" * 21)

    assert refused.status == 400
    assert faults(refused) == {"": "is nested more than 20 levels deep"}


def test_the_last_value_of_a_repeated_field_counts(client: CheckedClient) -> None:
    body = json.dumps(NEEDED).encode()[:-1] + b',"message":"Goodbye"}'

    assert post(client, body).json["message"] == "Goodbye"


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", 'APPLICATION/JSON;charset="UTF-8"', "application/json;"],
)
def test_every_spelling_of_the_content_type_of_json_is_accepted(client: CheckedClient, content_type: str) -> None:
    assert post(client, json.dumps(NEEDED).encode(), content_type).status == 201


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/json; charset=latin-1", "application/json; q=1", "application/json, text/plain", "é"],
)
def test_another_content_type_is_refused(client: CheckedClient, content_type: str) -> None:
    assert post(client, json.dumps(NEEDED).encode(), content_type).status == 415


def test_a_body_without_content_type_is_refused(client: CheckedClient) -> None:
    assert client.request("POST", NOTIFICATIONS, json.dumps(NEEDED).encode()).status == 415


def test_an_encoded_body_is_refused(client: CheckedClient) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}

    assert client.request("POST", NOTIFICATIONS, json.dumps(NEEDED).encode(), headers).status == 415
