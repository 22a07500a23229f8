"""Generate the pages of the API reference from `GET /openapi.json`: see conf.py.

They have all operations, parameters, schemas, examples and errors of the document.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from reference_schemas import cell, kind, link, schemas_page

from api.resources.openapi import OpenApi
from settings import Settings

METHODS = ("get", "post", "put", "patch", "delete")


class Operation(NamedTuple):
    """One method of one path, with the parameters of both."""

    method: str
    path: str
    parameters: list[dict[str, Any]]
    what: Mapping[str, Any]


def pages() -> dict[str, str]:
    """Return the pages by name: one for each tag, `errors`, `schemas`, and `index`, which links to them."""
    document = _with_examples(OpenApi(Settings()).document)
    tagged = {tag["name"]: tag["description"] for tag in document["tags"]}
    made = {tag: _tag_page(document, tag, about) for tag, about in tagged.items()}
    made["webhooks"] = _webhooks_page(document)
    made["errors"] = _errors_page(document)
    made["schemas"] = schemas_page(document["components"]["schemas"])
    return {"index": _index(document, tagged, made), **made}


def _with_examples(text: bytes) -> dict[str, Any]:
    """Return the document with its named examples in the places that refer to them."""
    named = {f"#/components/examples/{name}": one for name, one in json.loads(text)["components"]["examples"].items()}
    document: dict[str, Any] = json.loads(text, object_hook=lambda node: named.get(node.get("$ref", ""), node))
    return document


def operations(document: Mapping[str, Any], of: str = "paths") -> Iterator[Operation]:
    """Yield all operations in the order of the document."""
    for path, item in document[of].items():
        for method in METHODS:
            if method in item:
                given = [*item.get("parameters", ()), *item[method].get("parameters", ())]
                yield Operation(method.upper(), path, [_resolved(document, one) for one in given], item[method])


def _resolved(document: Mapping[str, Any], one: dict[str, Any]) -> dict[str, Any]:
    """Return the component to which a `$ref` points."""
    if "$ref" not in one:
        return one
    _, _, section, name = one["$ref"].split("/")
    found: dict[str, Any] = document["components"][section][name]
    return found


def _index(document: Mapping[str, Any], tagged: Mapping[str, str], names: Iterable[str]) -> str:
    lines = ["# API reference", "", document["info"]["description"], "", "## Operations", ""]
    lines += ["| | | | scope |", "|---|---|---|---|"]
    for one in operations(document):
        tag = one.what["tags"][0]
        title = f"[{one.what['summary']}]({tag}.md#{one.what['operationId'].lower()})"
        lines.append(f"| `{one.method}` | `{one.path}` | {title} | {_scope(one)} |")
    lines += ["", "```{toctree}", ":hidden:", "", *names, "```", ""]
    return "\n".join([*lines, *(f"- **{tag}**: {about}" for tag, about in tagged.items()), ""])


def _scope(one: Operation) -> str:
    """Return the scope that the description names."""
    _, found, rest = one.what.get("description", "").rpartition("Needs the scope `")
    return f"`{rest.partition('`')[0]}`" if found else ""


def _tag_page(document: Mapping[str, Any], tag: str, about: str) -> str:
    blocks = [f"# {tag.capitalize()}", about]
    for one in operations(document):
        if one.what["tags"][0] == tag:
            blocks += _operation(document, one)
    return "\n\n".join(blocks) + "\n"


def _webhooks_page(document: Mapping[str, Any]) -> str:
    blocks = ["# Sent callbacks", "The requests that registered endpoints receive; see [callbacks](callbacks.md)."]
    for one in operations(document, "webhooks"):
        blocks += _operation(document, one._replace(path=f"(your URL) {one.path}"))
    return "\n\n".join(blocks) + "\n"


def _operation(document: Mapping[str, Any], one: Operation) -> Iterator[str]:
    yield f"({one.what['operationId'].lower()})=\n## {one.what['summary']}"
    yield f"`{one.method} {one.path}`"
    yield one.what.get("description", "")
    if one.parameters:
        yield _parameters(one.parameters)
    if "requestBody" in one.what:
        yield from _request(one.what["requestBody"])
    yield "**Answers**"
    yield _answers(document, one.what["responses"])
    for status, given in one.what["responses"].items():
        answer = _resolved(document, given)
        if status < "300":
            yield from _examples(answer, "Example of a")
        elif "$ref" not in given:
            yield from _folded(status, answer)


def _parameters(parameters: list[dict[str, Any]]) -> str:
    rows = ["| parameter | in | type | |", "|---|---|---|---|"]
    for one in parameters:
        needed = " **Required.**" if one.get("required") and one["in"] != "path" else ""
        example = f" Example: `{json.dumps(one['example'], ensure_ascii=False)}`" if "example" in one else ""
        about = cell(one.get("description", "") + needed + example)
        rows.append(f"| `{one['name']}` | {one['in']} | {kind(one['schema'])} | {about} |")
    return "\n".join(rows)


def _request(body: Mapping[str, Any]) -> Iterator[str]:
    [media] = body["content"].values()
    needed = "" if body.get("required") else " It may be left out."
    yield f"**Body** {kind(media['schema'])}. {body.get('description', '')}{needed}"
    yield from _examples(body, "")


def _answers(document: Mapping[str, Any], responses: Mapping[str, Any]) -> str:
    rows = ["| status | | body | headers |", "|---|---|---|---|"]
    for status, given in responses.items():
        answer = _resolved(document, given)
        shapes = [kind(media.get("schema", {})) or f"`{name}`" for name, media in answer.get("content", {}).items()]
        headers = ", ".join(f"`{name}`" for name in answer.get("headers", {}) if name != "X-Request-ID")
        rows.append(
            f"| [{status}](errors.md#headers) | {cell(answer['description'])} | {', '.join(shapes)} | {headers} |"
        )
    return "\n".join(rows)


def _examples(holder: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for media in holder.get("content", {}).values():
        for title, value in _values(media):
            yield f"{title}:" if title else (f"{prefix} {media_name(media)}:" if prefix else "For example:")
            yield _json(value, media.get("schema", {}))


def media_name(media: Mapping[str, Any]) -> str:
    """Return the name of a body for a sentence."""
    return link(media.get("schema", {})) or "body"


def _values(media: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each example with its title."""
    if "example" in media:
        yield "", media["example"]
    for example in media.get("examples", {}).values():
        yield example.get("summary", ""), example["value"]


def _json(value: Any, schema: Mapping[str, Any]) -> str:
    if isinstance(value, str):
        return f"<!-- not run: an answer that is no JSON -->\n```text\n{value}\n```"
    named = schema.get("$ref", "").rpartition("/")[2]
    marker = f"<!-- schema: {named} -->\n" if named else ""
    return f"{marker}```json\n{json.dumps(value, indent=2, ensure_ascii=False)}\n```"


def _folded(status: str, answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield the examples of an error, folded."""
    if blocks := list(_examples(answer, "Example of a")):
        yield f"<details><summary>Examples of {status}</summary>"
        yield from blocks
        yield "</details>"


def _errors_page(document: Mapping[str, Any]) -> str:
    blocks = [
        "# Errors and response headers",
        "Every error is a problem document (RFC 9457), `application/problem+json`: " + link_to_problem(),
        "## Answers of many operations",
    ]
    for answer in document["components"]["responses"].values():
        blocks += [f"**{cell(answer['description'])}**", *_examples(answer, "Example of a")]
    rows = ["| header | |", "|---|---|"]
    rows += [f"| {name} | {cell(h.get('description', ''))} |" for name, h in _headers(document)]
    return "\n\n".join([*blocks, "## Headers", "\n".join(rows)]) + "\n"


def link_to_problem() -> str:
    """Return a link to the table of the schema's fields."""
    return f"{link({'$ref': '#/components/schemas/Problem'})} has its fields."


def _headers(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each header with the name that answers use."""
    named = {
        name: _resolved(document, header)
        for one in operations(document)
        for given in one.what["responses"].values()
        for name, header in _resolved(document, given).get("headers", {}).items()
    }
    return ((f"`{name}`", header) for name, header in sorted(named.items()))
