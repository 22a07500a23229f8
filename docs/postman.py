"""Print the Postman collection (format 2.1) with the operations, examples and texts of api/schemas/openapi.json.

    python docs/postman.py > docs/postman_collection.json

postman_walk.py adds the order of the requests and the expected answers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from postman_walk import ADDRESS, DOMAIN, NAME, WALK, Step

DOCUMENT = json.loads((Path(__file__).parents[1] / "api" / "schemas" / "openapi.json").read_text())
FORMAT = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
FIRST = next(iter(WALK.values()))[0]
METHODS = {"get", "post", "put", "patch", "delete"}
JSON = "application/json"
# The variable for each kind of parameter. Earlier answers set the variables.
CARRIED = {
    **{
        "Id": "{{id}}",
        "ClientId": "{{clientId}}",
        "KeyId": "{{keyId}}",
        "CallbackId": "{{callbackId}}",
        "ErasureId": "{{erasureId}}",
    },
    "TemplateVersion": "{{templateVersion}}",
    "TemplateName": NAME,
    "DestinationName": NAME,
    "Address": ADDRESS,
    "Domain": DOMAIN,
}
# Runs before the first request of a run.
BEGIN = 'pm.collectionVariables.set("run", Date.now().toString(36));'
ABOUT = """Every operation of the API, in an order in which all can be run: later requests use the ids of earlier \
answers.

Set `baseUrl` to the address of the API and, unless AUTH is off, `key` to a key. Clients, keys and channels need one \
with the scope `admin`. Domains need DOMAIN_KEYS_SECRET at the API. Notifications go \
only to test@example.com and similar addresses.

Each run has a template, a client and an address of its own, postman-{{run}}@example.com, which it suppresses and \
erases. It pauses your client and the channel email for a moment."""


def collection() -> dict[str, Any]:
    """Return the collection; raise SystemExit if an operation is in no step."""
    operations = dict(_operations())
    if forgotten := operations.keys() - {step.operation for steps in WALK.values() for step in steps}:
        raise SystemExit(f"postman_walk.py has no step for {', '.join(sorted(forgotten))}")
    about = {tag["name"]: tag["description"] for tag in DOCUMENT["tags"]} | {"refused": "Requests that are refused."}
    variables = {"baseUrl": "http://127.0.0.1:8000", "key": "", "cursor": "", "run": "1"}
    carried = {value.strip("{}"): "1" for value in CARRIED.values() if value.startswith("{{")}
    return {
        "info": {"name": DOCUMENT["info"]["title"], "description": ABOUT, "schema": FORMAT},
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{key}}", "type": "string"}]},
        "variable": [{"key": key, "value": value} for key, value in (variables | carried).items()],
        "item": [
            {
                "name": tag.capitalize(),
                "description": about[tag],
                "item": [_item(s, *operations[s.operation]) for s in of],
            }
            for tag, of in WALK.items()
        ],
    }


def _operations() -> Iterator[tuple[str, tuple[str, str, dict[str, Any]]]]:
    """Yield each operation by its id: the method, the path, and the operation with the parameters of its path."""
    for path, item in DOCUMENT["paths"].items():
        for method in item.keys() & METHODS:
            operation = item[method]
            parameters = [*item.get("parameters", ()), *operation.get("parameters", ())]
            yield operation["operationId"], (method.upper(), path, {**operation, "parameters": parameters})


def _item(step: Step, method: str, path: str, operation: Mapping[str, Any]) -> dict[str, Any]:
    body, of_example = _body(step, operation)
    tests = [f'pm.test("{step.status}", () => pm.response.to.have.status({step.status}));']
    if step.keep:
        tests.append('pm.collectionVariables.set("{}", pm.response.json().{});'.format(*step.keep))
    request: dict[str, Any] = {
        "method": step.method or method,
        "header": [{"key": name, "value": value} for name, value in _headers(step, operation, body).items()],
        "url": _url(step, path, operation),
        "description": operation.get("description", operation["summary"]),
    }
    if body:
        request["body"] = {"mode": "raw", "raw": body, "options": {"raw": {"language": "json"}}}
    events = [{"listen": "test", "script": {"type": "text/javascript", "exec": tests}}]
    if step is FIRST:
        events.append({"listen": "prerequest", "script": {"type": "text/javascript", "exec": [BEGIN]}})
    return {
        "name": step.name or f"{operation['summary']}{of_example and f': {of_example.lower()}'}",
        "event": events,
        "request": request,
    }


def _body(step: Step, operation: Mapping[str, Any]) -> tuple[str, str]:
    """Return the body and the name of its example; both are empty if there is no body."""
    if isinstance(step.given, str) or "requestBody" not in operation:
        return str(step.given or ""), ""
    media = operation["requestBody"]["content"][JSON]
    example = media["examples"][step.example] if step.example else {"value": media["example"]}
    return json.dumps(example["value"] | step.given, indent=2, ensure_ascii=False), example.get("summary", "")


def _headers(step: Step, operation: Mapping[str, Any], body: str) -> dict[str, str]:
    wanted = {"Content-Type": JSON} if body else {}
    examples = {parameter["name"]: str(parameter["example"]) for _, parameter in _parameters(operation, "header")}
    for header in step.headers:
        name, _, value = header.partition(": ")
        wanted[name] = value or examples[name]
    return wanted


def _url(step: Step, path: str, operation: Mapping[str, Any]) -> dict[str, Any]:
    for kind, parameter in _parameters(operation, "path"):
        value = step.path.get(kind) or CARRIED.get(kind) or quote(str(parameter["example"]), safe="@")
        path = path.replace("{" + parameter["name"] + "}", value)
    query = [{"key": name, "value": value} for name, value in _query(step, operation)]
    asked = "&".join(f"{part['key']}={part['value']}" for part in query)
    url = {"raw": f"{{{{baseUrl}}}}{path}", "host": ["{{baseUrl}}"], "path": path.removeprefix("/").split("/")}
    return {**url, "raw": f"{url['raw']}?{asked}", "query": query} if query else url


def _query(step: Step, operation: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    examples = {parameter["name"]: parameter["example"] for _, parameter in _parameters(operation, "query")}
    for wanted in step.query:
        name, given, value = wanted.partition("=")
        example = value if given else examples[name]
        if isinstance(example, dict):
            yield from example.items()
        else:
            words = [example] if not isinstance(example, list) else example
            yield from ((name, word if isinstance(word, str) else json.dumps(word)) for word in words)


def _parameters(operation: Mapping[str, Any], place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the parameters, each with the name of its component."""
    for parameter in operation["parameters"]:
        kind = parameter.get("$ref", "").rpartition("/")[2]
        found = DOCUMENT["components"]["parameters"][kind] if kind else parameter
        if found["in"] == place:
            yield kind, found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(collection(), indent=2, ensure_ascii=False) + "\n")
