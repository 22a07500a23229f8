"""Schemas of requests as the OpenAPI document shows them: in a form that generators of clients understand.

The schemas that check requests are stricter in a few places; the descriptions say so in words there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

Json = dict[str, Any]

# Keywords that generators mistake for further types. A property with `default` becomes a required one.
UNSUITABLE = frozenset({"$schema", "if", "then", "else", "default", "propertyNames"})
OF_OBJECTS = frozenset({"title", "properties", "required", "additionalProperties"})


def add(schema: Mapping[str, Any], schemas: Json) -> None:
    """Add a schema to the named `schemas` under its title, and each part of it that has a title under that one."""
    title = schema["title"]
    schemas[title] = {"title": title, **_parts({k: v for k, v in schema.items() if k != "title"}, schemas)}


def name_examples(document: Json) -> None:
    """Move the examples of answers that have several to `components`, and refer to them there.

    A generator that finds some without a name warns.
    """
    named = document["components"]["examples"] = {}
    answers = dict(document["components"]["responses"])
    for operation in (one for path in document["paths"].values() for one in path.values() if "responses" in one):
        answers |= {f"{operation['operationId']}-{status}": answer for status, answer in operation["responses"].items()}
    for answer_name, answer in answers.items():
        for media in answer.get("content", {}).values():
            for name, example in media.get("examples", {}).items():
                named[f"{answer_name}-{name}"] = example
                media["examples"][name] = {"$ref": f"#/components/examples/{answer_name}-{name}"}


def _shown(schema: Any, schemas: Json) -> Any:
    """Return a part of a schema; a part with a title is added to `schemas` and referred to."""
    if not isinstance(schema, dict):
        return schema
    types = schema.get("type")
    if isinstance(types, list) and "null" not in types:
        return _choice(schema, schemas)
    if "title" not in schema:
        return _parts(schema, schemas)
    # Several requests have a part in common, and an answer may have it too: the first description stays.
    if schema["title"] not in schemas:
        add(schema, schemas)
    return {"description": _about(schema), "$ref": f"#/components/schemas/{schema['title']}"}


def _parts(schema: Json, schemas: Json) -> Json:
    shown = {name: value for name, value in schema.items() if name not in UNSUITABLE}
    if "default" in schema:
        shown["description"] = _about(schema)
    if "properties" in schema:
        shown["properties"] = {name: _shown(field, schemas) for name, field in schema["properties"].items()}
    for name in ("items", "additionalProperties"):
        if name in schema:
            shown[name] = _shown(schema[name], schemas)
    return shown


def _choice(schema: Json, schemas: Json) -> Json:
    """Return a schema of several types as a choice of schemas with one type each."""
    of_objects = {name: value for name, value in schema.items() if name in OF_OBJECTS}
    of_all = {name: schema[name] for name in ("format", "minLength", "maxLength") if name in schema}
    choices = []
    for kind in schema["type"]:
        more = of_objects if kind == "object" else of_all
        if schema.get("if") == {"type": kind}:
            more = {**more, **schema["then"]}
        choices.append(_shown({"type": kind, "description": schema["description"], **more}, schemas))
    return {"description": schema["description"], "anyOf": [_undescribed(choice) for choice in choices]}


def _undescribed(choice: Json) -> Json:
    return {name: value for name, value in choice.items() if name != "description"}


def _about(schema: Json) -> str:
    """Return the description of a field, with its default in words."""
    if "default" not in schema:
        return str(schema["description"])
    default = orjson.dumps(schema["default"]).decode().strip('"')
    return f"{schema['description']} Default: `{default}`."
