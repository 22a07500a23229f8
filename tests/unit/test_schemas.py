"""Documents against the schema of a notification."""

from __future__ import annotations

from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema_rs import ValidationError

from actors.channels.registry import channel
from api.http.problems import MOST_FAULTS
from api.schemas import Schema
from api.schemas.documents import schema_of
from settings import read

SCHEMA = Schema(schema_of(channel("email")), read({}))
GOOD = {"type": "email", "recipient": "a@example.com", "message": "Hello"}
FIELDS = ["type", "recipient", "subject", "message", "html"]


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
values = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)


def at(document: Any, pointer: str) -> Any:
    """Return the value that a JSON pointer (RFC 6901) leads to."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    return reduce(lambda node, part: node[int(part) if isinstance(node, list) else part], parts, document)


@pytest.mark.parametrize("document", SCHEMA.document["examples"])
def test_the_examples_of_the_schemas_are_valid(document: Any) -> None:
    assert SCHEMA.faults(document) == []


def test_a_channel_whose_schema_is_none_cannot_be_served() -> None:
    with pytest.raises(ValidationError, match="nonsense"):
        Schema({"properties": {"recipient": {"minLength": "nonsense"}}}, read({}))


@given(document=values | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=100), values))
def test_each_fault_points_at_a_present_or_missing_field(document: Any) -> None:
    faults = SCHEMA.faults(document)

    assert len({(fault["pointer"], fault["detail"]) for fault in faults}) == len(faults)
    for fault in faults:
        if fault["detail"] == "is required":
            assert fault["pointer"][1:] not in document
        else:
            at(document, fault["pointer"])


@given(wrong=st.dictionaries(st.sampled_from(FIELDS), st.just("hush\0\n") | st.just(["hush"]), min_size=1))
def test_no_detail_repeats_a_value(wrong: dict[str, Any]) -> None:
    faults = SCHEMA.faults(GOOD | wrong)

    assert faults
    assert "hush" not in str(faults)


@pytest.mark.parametrize("missing", ["type", "recipient", "message"])
def test_a_missing_field_is_pointed_at(missing: str) -> None:
    document = {name: value for name, value in GOOD.items() if name != missing}

    assert SCHEMA.faults(document) == [{"pointer": f"/{missing}", "detail": "is required"}]


@pytest.mark.parametrize(("name", "pointer"), [("a/b", "/a~1b"), ("~", "/~0"), ("", "/"), ("é", "/é"), ("\0", "/\0")])
def test_an_unknown_field_is_pointed_at(name: str, pointer: str) -> None:
    [fault] = SCHEMA.faults(GOOD | {name: 1})

    assert fault["pointer"] == pointer
    assert fault["detail"].startswith("is not a known field; known are type, ")


def test_a_long_unknown_field_is_cut() -> None:
    [fault] = SCHEMA.faults(GOOD | {"x" * 10_000: 1})

    assert fault["pointer"] == "/" + "x" * 100


def test_the_search_for_faults_stops_at_the_number_that_is_reported() -> None:
    assert len(SCHEMA.faults({str(n): 1 for n in range(10_000)})) == MOST_FAULTS + 1


@pytest.mark.parametrize(
    ("setting", "field"), [("SUBJECT_LIMIT", "subject"), ("MESSAGE_LIMIT", "message"), ("HTML_LIMIT", "html")]
)
def test_a_limit_in_a_schema_comes_from_its_setting(setting: str, field: str) -> None:
    schema = Schema(schema_of(channel("email")), read({setting: "3"}))

    assert schema.faults(GOOD | {"message": "Hey", field: "äöü"}) == []
    [fault] = schema.faults(GOOD | {"message": "Hey", field: "äöü!"})
    assert fault == {"pointer": f"/{field}", "detail": "must have at most 3 characters, has 4"}


@pytest.mark.parametrize("subject", ["\t", "\n", "\r", "\0", "\x1b[31m", "\x7f", "\x85", "\x9f", "\u2028", "\u2029"])
def test_a_subject_with_a_line_break_or_control_character_is_refused(subject: str) -> None:
    assert SCHEMA.faults(GOOD | {"subject": subject}) == [
        {"pointer": "/subject", "detail": "must be one line without control characters"}
    ]


@pytest.mark.parametrize("subject", ["\u3000", "\xa0", "\xad", "a\u200db", "می\u200cنم", "\ue000", "🏳\ufe0f\u200d🌈"])
def test_a_subject_may_be_in_any_language(subject: str) -> None:
    assert SCHEMA.faults(GOOD | {"subject": subject}) == []


def test_a_very_long_address_is_refused_by_its_length_alone() -> None:
    assert SCHEMA.faults(GOOD | {"recipient": "ä" * 500_000 + "@example.com"}) == [
        {"pointer": "/recipient", "detail": "must have at most 254 characters, has 500012"}
    ]


LARGE = "x" * 1_000_000


@pytest.mark.parametrize(
    "wrong",
    [
        [LARGE],
        {**GOOD, "message": LARGE},
        {**GOOD, "type": LARGE},
        {**GOOD, "priority": [LARGE]},
        {**GOOD, "sendAt": f"2024{LARGE}"},
        {**GOOD, "tags": [LARGE] * 21},
        {**GOOD, "metadata": {f"{LARGE}{place}": LARGE for place in range(21)}},
        {**GOOD, "headers": [LARGE]},
        {**GOOD, "cc": [{"a": LARGE}]},
        {**GOOD, "unsubscribe": {"url": LARGE}},
        {**GOOD, "template": "welcome", "subject": LARGE},
        {**GOOD, LARGE: 1},
        {**GOOD, "variables": {"a": LARGE}},
    ],
)
def test_a_fault_is_described_without_copying_a_large_value(wrong: Any) -> None:
    errors = list(SCHEMA._validator.iter_errors(wrong))
    assert errors
    assert max(len(error.message) for error in errors) < 1_000
    assert SCHEMA.faults(wrong)


@pytest.mark.parametrize("field", ["from", "replyTo", "recipientName"])
def test_a_mailbox_that_is_too_long_is_refused_without_parsing(field: str) -> None:
    [fault] = SCHEMA.faults({**GOOD, field: '"' + '\\"' * 1_000_000})
    assert "characters" in fault["detail"]
