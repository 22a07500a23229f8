"""How the API reference shows a JSON Schema: one table of fields for each that has a name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

# What bounds a value, and how that reads.
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
ABOUT = """**Required**: of a request, it has to be there; of an answer, it always is. Unknown fields of requests are
refused; clients should ignore those of answers."""
LONG = 80  # characters of a pattern that a table can bear


def schemas_page(schemas: Mapping[str, Any]) -> str:
    """All that have a name, by their names."""
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
    """The type of a value in a few words, with a link where it has a name."""
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
    """To the fields of a schema that has a name; nothing for one that has none."""
    name = schema.get("$ref", "").rpartition("/")[2]
    return f"[{name}](schemas.md#{name.lower()})" if name else ""


def bounds(schema: Mapping[str, Any]) -> str:
    """What its value is bounded by, as a sentence; empty where by nothing."""
    said = []
    for name, words in BOUNDS.items():
        value = schema.get(name)
        if value is None or (name == "pattern" and len(value) > LONG):
            continue
        shown = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else cell(f"`{value}`")
        said.append(words.format(shown))
    return f"({'; '.join(said)})" if said else ""


def cell(text: str) -> str:
    """Fit for a cell of a table: one line, no bar that would end it."""
    return " ".join(text.split()).replace("|", "\\|")
