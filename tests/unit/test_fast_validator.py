"""The fast validator accepts no document that jsonschema refuses, and accepts common documents by itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actors.channels.registry import channel
from api.http.idempotency import PROPERTY
from api.schemas import Schema
from api.schemas.documents import schema_of
from settings import read

SMALL = {"SUBJECT_LIMIT": "5", "RECIPIENTS_LIMIT": "2"}
NAMES = [
    "batch",
    "callback",
    "callback_changes",
    "client",
    "client_changes",
    "key",
    "preview",
    "provider_changes",
    "reschedule",
]
NAMES += ["retry", "rotation", "suppression", "template"]
SCHEMAS = {name: Schema(name, read(SMALL)) for name in NAMES}
SCHEMAS["notification"] = Schema(schema_of(channel("email")), read(SMALL))
ITEM = Schema(schema_of(channel("email"), {"idempotencyKey": PROPERTY}), read(SMALL))
GOOD = {"type": "email", "recipient": "a@example.com", "message": "Hello"}

TELLING = ["a@example.com", "Ann <ann@example.com>", "ä@exämple.com", "high", "email", "hold", "2030-01-01T00:00:00Z"]
TELLING += ["https://example.com/x", "text/plain", "welcome", "a\nb", "a\0b", "\u2028", "äöüäö", "äöüäöü", "ab", ""]
texts = st.text() | st.sampled_from(TELLING)
numbers = st.integers() | st.floats(allow_nan=False) | st.sampled_from([1.0, 0, -0.0])
leaves = st.none() | st.booleans() | numbers | texts
values = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=8)


def documents(schema: Schema) -> st.SearchStrategy[Any]:
    """Generate documents that may be sent by mistake: right fields with all kinds of values, and others."""
    fields = st.sampled_from(sorted(schema.document["properties"])) | texts
    inner = st.sampled_from(["name", "version", "url", "filename", "contentType", "content", "contentId"]) | texts
    return st.dictionaries(fields, values | st.dictionaries(inner, values) | st.lists(texts)) | values


def agree(schema: Schema, document: Any) -> bool:
    return schema._fast_validator.sound(document) == (schema._explained(document) == [])


@pytest.mark.parametrize("name", NAMES)
def test_the_fast_validator_and_jsonschema_agree_on_every_document(name: str) -> None:
    @given(document=documents(SCHEMAS[name]))
    def holds(document: Any) -> None:
        assert agree(SCHEMAS[name], document)

    holds()


@given(more=documents(ITEM))
@example(more={"tags": ["a", "a"]})
@example(more={"tags": [str(n) for n in range(21)]})
@example(more={"tags": ["x" * 64]})
@example(more={"tags": ["x" * 65]})
@example(more={"metadata": dict.fromkeys(map(str, range(21)), "")})
@example(more={"metadata": {"k" * 41: "v"}})
@example(more={"metadata": {"k": "v" * 501}})
@example(more={"tags": [1, 1.0]})
@example(more={"template": {"name": "a", "version": 1.0}})
@example(more={"template": {"name": "a", "version": 2**31}})
@example(more={"template": {"name": "a", "version": 10**40}})
@example(more={"unsubscribe": True})
@example(more={"unsubscribe": False})
@example(more={"unsubscribe": 1})
@example(more={"subject": "😀😀😀😀😀"})
@example(more={"subject": "😀😀😀😀😀😀"})
@example(more={"subject": "e\u0301e\u0301e\u0301"})
@example(more={"metadata": {"ä": "x"}})
@example(more={"template": "welcome", "variables": {}})
def test_the_fast_validator_and_jsonschema_agree_on_almost_valid_notifications(more: Any) -> None:
    document = GOOD | more if isinstance(more, dict) else more

    assert agree(ITEM, document)


def test_jsonschema_checks_documents_that_the_fast_validator_cannot_read() -> None:
    assert not ITEM._fast_validator.sound(GOOD | {"message": "\ud800"})
    assert ITEM.faults(GOOD | {"message": "\ud800"}) == []


def test_a_common_notification_is_accepted_by_the_fast_validator_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def explained(_document: object) -> list[dict[str, str]]:
        raise AssertionError("it was asked what is wrong")

    monkeypatch.setattr(ITEM, "_explained", explained)

    assert ITEM.faults(GOOD) == []
