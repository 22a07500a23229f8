"""Random requests: none causes a server error, and accepted ones are stored exactly as they came."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cli.servers.valkey import Valkey
from tests.client import NOTIFICATIONS, Response
from tests.contract import CheckedClient
from tests.integration.api import running

JSON = {"Content-Type": "application/json"}
FUZZ = settings(suppress_health_check=list(HealthCheck))

anything = st.text(st.characters(), max_size=60)  # lone surrogates, controls and unassigned ones included
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(min_value=2**62, max_value=10**40) | st.floats() | anything,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(anything, inner, max_size=5),
    max_leaves=20,
)
addresses = st.one_of(
    st.emails(),
    anything,
    st.builds("{}@{}".format, st.text(min_size=1, max_size=70), st.sampled_from(["exämple.com", "x.local", "xn--a.b"])),
)
nearly = st.fixed_dictionaries(
    {"type": st.sampled_from(["email"]) | anything, "recipient": addresses, "message": anything},
    optional={"subject": anything, "html": anything, "extra": values},
)
accepted = st.fixed_dictionaries(
    {
        "type": st.just("email"),
        "recipient": st.emails() | st.just("jörg@exämple.com"),
        "message": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1),
    },
    optional={
        "subject": st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=500),
        "html": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1),
    },
)


@pytest.fixture(scope="module")
def client(module_database_url: str, redis_server: Valkey) -> Iterator[CheckedClient]:
    with running(module_database_url, redis_server.url) as api, api.client as client:
        yield client


def encoded(document: Any, escaped: bool) -> bytes:
    return json.dumps(document, ensure_ascii=escaped).encode("utf-8", "surrogatepass")


def checked(client: CheckedClient, body: bytes) -> Response:
    """Post this, and if it is accepted compare what is stored with what was sent."""
    answer = client.request("POST", NOTIFICATIONS, body, JSON)
    assert answer.status in (201, 400, 422)
    if answer.status == 201:
        sent, stored = json.loads(body), client.notification(answer.json["id"])
        assert {name: stored[name] for name in sent} == sent
    return answer


@FUZZ
@given(body=st.binary(max_size=300))
def test_random_bytes_are_refused(client: CheckedClient, body: bytes) -> None:
    assert checked(client, body).status in (400, 422)


@FUZZ
@given(document=values, escaped=st.booleans())
def test_any_json_gets_a_documented_answer(client: CheckedClient, document: Any, escaped: bool) -> None:
    checked(client, encoded(document, escaped))


@FUZZ
@given(depth=st.integers(1, 5000), opening=st.sampled_from(["[", '{"message":', '[{"":']), closed=st.booleans())
def test_any_nesting_gets_a_documented_answer(client: CheckedClient, depth: int, opening: str, closed: bool) -> None:
    closing = opening.translate(str.maketrans("[{", "]}", '"message:'))[::-1]

    assert checked(client, (opening * depth + "1" + closing * depth * closed).encode()).status in (400, 422)


@FUZZ
@given(document=nearly, escaped=st.booleans())
@example(document={"type": "email", "recipient": "a@b.c", "message": "\ud800"}, escaped=False)
def test_an_almost_valid_notification_gets_a_documented_answer(
    client: CheckedClient, document: Any, escaped: bool
) -> None:
    checked(client, encoded(document, escaped))


@FUZZ
@given(document=accepted, escaped=st.booleans())
def test_every_notification_is_stored_as_it_was_sent(client: CheckedClient, document: Any, escaped: bool) -> None:
    assert checked(client, encoded(document, escaped)).status == 201


@FUZZ
@given(
    query=st.dictionaries(
        st.sampled_from(["status", "recipient", "limit", "cursor", "createdFrom"]) | anything, anything
    )
)
def test_any_query_gets_a_documented_answer(client: CheckedClient, query: dict[str, str]) -> None:
    query = {
        name.encode(errors="replace").decode(): value.encode(errors="replace").decode() for name, value in query.items()
    }

    assert client.get(NOTIFICATIONS, **query).status in (200, 400)


@FUZZ
@given(items=st.lists(nearly | values, max_size=4), partial=st.booleans(), key=anything | st.none())
def test_an_almost_valid_batch_gets_a_documented_answer(
    client: CheckedClient, items: Any, partial: bool, key: str | None
) -> None:
    keyed = [item | {"idempotencyKey": key} if isinstance(item, dict) and key else item for item in items]
    path = f"{NOTIFICATIONS}/batch?partial={str(partial).lower()}"
    answer = client.request("POST", path, encoded({"items": keyed}, escaped=True), JSON)

    assert answer.status in (200, 201, 400, 422)


@FUZZ
@given(key=st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=300))
def test_any_authorization_header_is_a_key_or_refused(client: CheckedClient, key: str) -> None:
    document = {"type": "email", "recipient": "a@example.com", "message": key or "x"}
    headers = JSON | {"Idempotency-Key": key.encode("latin-1")}
    answers = [client.request("POST", NOTIFICATIONS, encoded(document, escaped=True), headers) for _ in range(2)]  # type: ignore[arg-type]

    assert {answer.status for answer in answers} in ({201}, {400}, {422})


@FUZZ
@given(
    document=values
    | st.fixed_dictionaries(
        {},
        optional={
            "sendAt": values | st.datetimes().map(lambda t: f"{t.isoformat()}Z"),
            "expiresAt": values | st.datetimes().map(lambda t: f"{t.isoformat()}+14:00"),
            "filter": st.dictionaries(st.sampled_from(["recipient", "createdFrom", "createdTo", "type"]), values),
            "cursor": anything,
            "limit": values,
            "dryRun": values,
        },
    ),
    path=st.sampled_from(["1", "retry", "1/cancel", "1/retry"]),
)
def test_any_request_about_a_stored_notification_gets_a_documented_answer(
    client: CheckedClient, document: Any, path: str
) -> None:
    method = "PATCH" if path == "1" else "POST"
    answer = client.request(method, f"{NOTIFICATIONS}/{path}", encoded(document, escaped=True), JSON)

    assert answer.status in (200, 400, 404, 409, 422)
