"""JSON in the documents, held against the schemas of the API where it is said to be of one."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from api.resources.openapi import OpenApi
from settings import Settings


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(OpenApi(Settings()).document)
    return document


def invalid(text: str, schema: str = "") -> list[str]:
    """Return the errors of a JSON text against the schema of this name, if there is a name.

    Raises:
        json.JSONDecodeError: it is no JSON.
    """
    value = json.loads(text)
    if not schema:
        return []
    if schema not in _document()["components"]["schemas"]:
        return [f"the API has no schema {schema!r}"]
    validator = Draft202012Validator({**_document(), "$ref": f"#/components/schemas/{schema}"})
    return [error.message for error in validator.iter_errors(value)]
