"""The OpenAPI document is valid and complete, and its examples are correct."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import validate

from actors.channels.registry import channel, channels
from api import dashboard
from api.resources.openapi import REQUESTS, OpenApi
from api.schemas import Schema
from api.schemas.documents import schema_of
from db.callbacks import OF_PROVIDERS
from db.keys import SCOPES
from db.models import DELIVERY_STATUSES, FINAL, PRIORITIES, STATUSES
from settings import read
from tests.contract import Contract
from tests.processes import ROOT

METHODS = {"get", "post", "put", "patch", "delete"}
ROUTES = """
import json
from falcon import inspect
from api.app import create_app
app = inspect.inspect_app(create_app())
print(json.dumps({r.path: [m.method.lower() for m in r.methods if not m.internal] for r in app.routes}))
"""


def document(**settings: str) -> Any:
    """Return the document that is served under these settings."""
    return json.loads(OpenApi(read(settings)).document)


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract(document())


def _found(node: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Everything in the document by its JSON pointer."""
    yield place, node
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inner:
        yield from _found(value, f"{place}/{str(key).replace('~', '~0').replace('/', '~1')}")


def _examples(node: Any) -> list[Any]:
    """The examples that stand beside a schema: in a media type, a parameter or a header."""
    if "example" in node:
        return [node["example"]]
    named = document()["components"]["examples"]
    found = node.get("examples", {}).values()
    return [named[e["$ref"].rpartition("/")[2]]["value"] if "$ref" in e else e["value"] for e in found]


def test_the_document_is_valid() -> None:
    validate(document())


def test_every_route_is_documented_and_every_path_is_a_route() -> None:
    environ = {"DATABASE_URL": "postgresql://nobody", "REDIS_URL": "redis://nobody"}
    listed = subprocess.run([sys.executable, "-c", ROUTES], env=environ, cwd=ROOT, capture_output=True, check=True)
    routes = {
        path.replace(":path", ""): set(methods) - {"head"}
        for path, methods in json.loads(listed.stdout).items()
        if not dashboard.serves(path)
    }

    assert {path: item.keys() & METHODS for path, item in document()["paths"].items()} == routes


def test_every_example_matches_its_schema(contract: Contract) -> None:
    checked = 0
    for place, node in _found(contract.document):
        if isinstance(node, dict) and "schema" in node:
            for example in _examples(node):
                contract.validator(f"{place}/schema").validate(example)
                checked += 1
    for name, schema in contract.document["components"]["schemas"].items():
        for example in schema.get("examples", []):
            contract.validator(f"/components/schemas/{name}").validate(example)
            checked += 1

    assert checked > 30


def test_every_answer_with_a_body_has_an_example(contract: Contract) -> None:
    answers = [
        (place, media)
        for place, node in _found(contract.document)
        if isinstance(node, dict) and "content" in node and place.split("/")[-2] == "responses"
        for media in node["content"].values()
    ]

    assert answers
    assert [place for place, media in answers if not _examples(media)] == ["/paths/~1openapi.json/get/responses/200"]


def test_every_operation_has_a_summary_and_every_parameter_a_description(contract: Contract) -> None:
    operations = [item[method] for item in contract.document["paths"].values() for method in item if method in METHODS]

    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(operation["summary"] for operation in operations)
    parameters = [parameter for operation in operations for parameter in operation.get("parameters", [])]
    resolved = [contract.resolved(p["$ref"][1:])[1] if "$ref" in p else p for p in parameters]
    assert all(parameter.get("description") for parameter in resolved)


def test_every_operation_that_needs_a_key_names_its_scope(contract: Contract) -> None:
    operations = [item[method] for item in contract.document["paths"].values() for method in item if method in METHODS]
    closed = [operation for operation in operations if operation.get("security") != []]

    assert len(closed) > 30
    assert [o["operationId"] for o in closed if not re.search(r"Needs the scopes? `\w+`", o["description"])] == []


def test_fields_with_a_default_stay_optional_in_generated_clients(contract: Contract) -> None:
    schemas = contract.document["components"]["schemas"]

    assert [place for place, node in _found(schemas) if isinstance(node, dict) and "default" in node] == []
    assert schemas["NotificationInput"]["properties"]["priority"]["description"].endswith("Default: `normal`.")


def test_the_reasons_of_a_failure_are_one_enumeration(contract: Contract) -> None:
    named = [
        node["failureReason"]
        for _, node in _found(contract.document["components"]["schemas"])
        if isinstance(node, dict) and isinstance(node.get("failureReason"), dict)
    ]

    assert len(named) == 5
    assert all("#/components/schemas/FailureReason" in json.dumps(field) for field in named)


def test_no_two_schemas_list_the_same_values(contract: Contract) -> None:
    schemas = contract.document["components"]["schemas"]
    lists = [tuple(node["enum"]) for _, node in _found(schemas) if isinstance(node, dict) and "enum" in node]

    assert len(lists) > 10
    assert sorted(set(lists)) == sorted(lists)


def test_no_component_is_unused(contract: Contract) -> None:
    used = {node["$ref"] for _, node in _found(contract.document) if isinstance(node, dict) and "$ref" in node}
    components = {k: v for k, v in contract.document["components"].items() if k != "securitySchemes"}

    assert {f"#/components/{kind}/{name}" for kind, named in components.items() for name in named} == used


def test_the_limits_in_force_are_documented() -> None:
    new = document(HTML_LIMIT="9")["components"]["schemas"]["NotificationInput"]

    assert new["properties"]["html"]["maxLength"] == 9


def test_the_statuses_and_types_in_the_database_are_documented(contract: Contract) -> None:
    schemas = contract.document["components"]["schemas"]

    assert schemas["Status"]["enum"] == list(STATUSES)
    assert schemas["NotificationType"]["enum"] == list(channels())
    assert schemas["Priority"]["enum"] == list(PRIORITIES)
    assert schemas["FinalStatuses"]["items"]["enum"] == [
        *(status for status in STATUSES if status in FINAL),
        *DELIVERY_STATUSES[1:],
        *OF_PROVIDERS,
    ]
    assert schemas["Scope"]["enum"] == list(SCOPES)


def test_no_two_named_lists_share_a_value(contract: Contract) -> None:
    """Generated clients in Go have one constant for each value."""
    schemas = contract.document["components"]["schemas"].values()
    values = [value for schema in schemas for value in schema.get("enum", ())]

    assert sorted(set(values)) == sorted(values)
    assert not any(name.startswith("New") for name in contract.document["components"]["schemas"])


@pytest.mark.parametrize("name", REQUESTS)
def test_every_accepted_request_matches_the_document(contract: Contract, name: str) -> None:
    """A named list of values may be longer than that of a request, never shorter."""
    checked = Schema(name, read({})).document
    published = contract.validator(f"/components/schemas/{checked['title']}")

    for place, node in _found(checked):
        if isinstance(node, dict) and node.get("title") and "enum" in node:
            known = contract.document["components"]["schemas"][node["title"]]["enum"]
            assert set(node["enum"]) <= set(known), place
    for example in checked["examples"]:
        published.validate(example)


@pytest.mark.parametrize("template", ["welcome", {"name": "welcome"}, {"name": "welcome", "version": 2}, 1, [], {}])
@pytest.mark.parametrize("unsubscribe", [True, False, {"url": "https://example.com/"}, {}, "https://example.com/"])
def test_fields_of_several_types_take_the_same_values_as_the_api(
    contract: Contract, template: Any, unsubscribe: Any
) -> None:
    asked = {"type": "email", "recipient": "a@example.com", "template": template, "unsubscribe": unsubscribe}

    accepted = not Schema(schema_of(channel("email")), read({})).faults(asked)
    assert contract.validator("/components/schemas/NotificationInput").is_valid(asked) == accepted
