"""Generate the tables of fields for the named JSON Schemas of the API reference."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

# Keywords that bound a value, and their texts.
BOUNDS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "maxProperties": "at most {} entries",
    "pattern": "matches {}",
    "format": "{}",
    "default": "default {}",
}
ABOUT = """**Required** fields must be in a request, and are always in an answer. Unknown fields of requests are
refused; clients should ignore unknown fields of answers."""
LONG = 80  # characters: a longer pattern is left out of the table


def schemas_page(schemas: Mapping[str, Any]) -> str:
    """Return the page of all named schemas."""
    blocks = ["# Schemas", ABOUT]
    for name, schema in sorted(schemas.items()):
        blocks += _schema(name, schema)
    return "\n\n".join(blocks) + "\n"


def _schema(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {name}"
    if "description" in schema:
        yield str(schema["description"])
    if not schema.get("properties"):
        yield f"{kind(schema)} {bounds(schema)}"
    else:
        yield _fields(schema)
    if schema.get("examples"):
        example = json.dumps(schema["examples"][0], indent=2, ensure_ascii=False)
        yield f"<!-- schema: {name} -->\n```json\n{example}\n```"


def _fields(schema: Mapping[str, Any]) -> str:
    rows = ["| field | type | |", "|---|---|---|"]
    for name, field in schema["properties"].items():
        needed = "**Required.** " if name in schema.get("required", ()) else ""
        about = f"{needed}{cell(field.get('description', ''))} {bounds(field)}"
        rows.append(f"| `{name}` | {kind(field)} | {about.strip()} |")
    return "\n".join(rows)


def kind(schema: Mapping[str, Any]) -> str:
    """Return the type of a value in a few words, with a link if it is a named schema."""
    if "$ref" in schema:
        return link(schema)
    for choice in ("oneOf", "anyOf"):
        if choice in schema and "type" not in schema:
            return " or ".join(dict.fromkeys(filter(None, map(kind, schema[choice]))))
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    types = schema.get("type", [])
    named = [types] if isinstance(types, str) else types
    return " or ".join(_array(schema) if one == "array" else one for one in named)


def _array(schema: Mapping[str, Any]) -> str:
    return f"array of {kind(schema.get('items', {})) or 'anything'}"


def link(schema: Mapping[str, Any]) -> str:
    """Return a link to the fields of a named schema, else an empty text."""
    name = schema.get("$ref", "").rpartition("/")[2]
    return f"[{name}](schemas.md#{name.lower()})" if name else ""


def bounds(schema: Mapping[str, Any]) -> str:
    """Return the bounds of a value as a sentence; empty if there are none."""
    said = []
    for name, words in BOUNDS.items():
        value = schema.get(name)
        if value is None or (name == "pattern" and len(value) > LONG):
            continue
        shown = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else cell(f"`{value}`")
        said.append(words.format(shown))
    return f"({'; '.join(said)})" if said else ""


def cell(text: str) -> str:
    """Return the text for a table cell: one line, with escaped bars."""
    return " ".join(text.split()).replace("|", "\\|")
