"""JSON as it may arrive, and bodies that break off."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest
from falcon.asgi import Request, Response
from falcon.testing import create_scope
from hypothesis import given
from hypothesis import strategies as st

from api.http import problems
from api.http.asgi import Application
from api.http.bodies import MOST_VALUES, parse, read_json
from api.http.problems import Problem
from settings import read
from settings.http import HttpSettings

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
documents = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(document=documents)
def test_valid_json_is_parsed_as_the_standard_library_parses_it(document: Any) -> None:
    assert parse(json.dumps(document).encode(), 50) == document


@given(body=st.binary(max_size=50))
def test_any_bytes_are_parsed_or_refused_with_a_problem(body: bytes) -> None:
    with suppress(Problem):
        parse(body, 20)


@pytest.mark.parametrize("limit", [1, 2, 20, 500])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_nesting_is_accepted_up_to_the_limit(limit: int, opening: str, closing: str) -> None:
    parse(f"{opening * limit}1{closing * limit}".encode(), limit)
    with pytest.raises(Problem) as refused:
        parse(f"{opening * (limit + 1)}1{closing * (limit + 1)}".encode(), limit)

    assert refused.value.status == 400
    assert f"nested more than {limit} levels deep" in refused.value.errors[0]["detail"]


def test_one_deep_branch_among_flat_ones_is_found() -> None:
    with pytest.raises(Problem):
        parse(b'[[], {"a": [1, [[2]]]}, []]', 4)


@pytest.mark.parametrize("value", ["1", "[]", "{}", '{"a":1}', "[" * 18 + "]" * 18, '"a,b"'])
def test_a_large_body_with_too_many_values_is_refused(value: str) -> None:
    many = f'{{"cc":[{",".join([value] * (9_000_000 // len(value)))}]}}'.encode()
    with pytest.raises(Problem) as refused:
        parse(many, 20)

    assert (refused.value.status, refused.value.errors[0]["detail"]) == (
        400,
        f"has more than {MOST_VALUES} values: send fewer, or smaller batches",
    )


def test_a_large_body_of_long_texts_is_accepted() -> None:
    text = "A sentence, and [another] one. " * 20_000 + "x" * 5_000_000

    assert parse(json.dumps({"text": text}).encode(), 20) == {"text": text}


def test_a_json_fault_gives_the_position_and_no_content() -> None:
    with pytest.raises(Problem) as refused:
        parse(b'{"message":\n "hush" hush}', 20)

    assert refused.value.errors == [{"pointer": "", "detail": refused.value.errors[0]["detail"]}]
    assert "line 2, column 9" in refused.value.errors[0]["detail"]
    assert "hush" not in refused.value.errors[0]["detail"]


class Echo:
    """Answers with what it has read."""

    async def on_post(self, req: Request, resp: Response) -> None:
        resp.media = await read_json(req, HttpSettings(body_timeout=0.1))


def status_of(*events: dict[str, Any]) -> int:
    """Return the status of the response to a POST whose server delivers these events and then nothing more."""
    app = Application(read({}))
    problems.install(app)
    app.add_route("/", Echo())
    coming, sent = list(events), []

    async def receive() -> dict[str, Any]:
        return coming.pop(0) if coming else await asyncio.Future()

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    headers = {"Content-Type": "application/json", "Content-Length": "4"}
    asyncio.run(app(create_scope("/", method="POST", headers=headers), receive, send))
    return int(sent[0]["status"])


def piece(body: bytes, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_body_that_arrives_in_pieces_is_joined() -> None:
    assert status_of(piece(b"[1", True), piece(b"]", True), piece(b" ", False)) == 200


def test_a_body_cut_off_by_the_server_is_not_taken_as_complete() -> None:
    assert status_of(piece(b"[1]", True), {"type": "http.disconnect"}) == 408


def test_a_body_that_never_ends_times_out() -> None:
    assert status_of(piece(b"[1]", True)) == 408
