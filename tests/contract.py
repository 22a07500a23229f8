"""A client that checks every answer against the OpenAPI document of the API."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache, cached_property
from typing import Any
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from tests.client import Client, Response

BASE = "urn:openapi"
OWN_HEADERS = {"www-authenticate", "idempotent-replayed", "location", "retry-after", "allow", "x-request-id"}
OWN_HEADERS |= {"ratelimit", "ratelimit-policy"}


class Contract:
    """An OpenAPI document, taken strictly: a field or header that it does not mention is a fault."""

    def __init__(self, document: Any) -> None:
        self.document = document
        self._registry: Registry[Any] = Registry().with_resource(BASE, DRAFT202012.create_resource(_strict(document)))
        self.validator = cache(self._validator)

    def check(self, method: str, path: str, answer: Response) -> None:
        """Fail unless this is an answer that the document foresees."""
        seen = f"{method} {path[:200]}: {answer.status} {answer.headers} {answer.raw[:500]!r}"
        place, response = self._response(method, urlsplit(path).path, answer)
        assert response is not None, f"not documented: {seen}"
        self._check_headers(response.get("headers", {}), answer, seen)
        if "content" not in response:
            assert not answer.raw, seen
            return
        media = answer.headers.get("content-type", "")
        if "*/*" in response["content"]:  # a file, of any type and content
            return
        assert media in response["content"], f"documented are {list(response['content'])}: {seen}"
        if method != "HEAD":
            body = answer.json if media.partition(";")[0].endswith(("/json", "+json")) else answer.raw.decode()
            self.validator(f"{place}/content/{_escaped(media)}/schema").validate(body)

    def resolved(self, place: str) -> tuple[str, Any]:
        """Where a JSON pointer leads when it leads to a $ref, and what stands there."""
        node = self.document
        for part in place.split("/")[1:]:
            node = node[int(part)] if isinstance(node, list) else node[part.replace("~1", "/").replace("~0", "~")]
        return self.resolved(node["$ref"][1:]) if set(node) == {"$ref"} else (place, node)

    def _response(self, method: str, path: str, answer: Response) -> tuple[str, Any]:
        template = next((t for t in self._templates if self._templates[t].fullmatch(path)), None)
        if template is None:  # No path of ours has just these answers.
            name = {404: "Unknown", 401: "Unauthorized"}.get(answer.status)
            return self.resolved(f"/components/responses/{name}") if name else ("", None)
        operations = self.document["paths"][template]
        names = [method.lower().replace("head", "get"), "get", *(name for name in operations if name != "parameters")]
        name = next(name for name in names if name in operations)
        place = f"/paths/{_escaped(template)}/{name}/responses/{answer.status}"
        known = str(answer.status) in operations[name]["responses"]
        return self.resolved(place) if known else ("", None)

    def _check_headers(self, documented: Mapping[str, Any], answer: Response, seen: str) -> None:
        names = {name.lower() for name in documented}
        assert (answer.headers.keys() & OWN_HEADERS) <= names, f"documented are {names}: {seen}"
        for name, header in documented.items():
            place, described = self.resolved(header["$ref"][1:])
            value = answer.headers.get(name.lower())
            assert value is not None or not described.get("required"), f"{name} is missing: {seen}"
            if value is not None:
                self.validator(f"{place}/schema").validate(value)

    @cached_property
    def _templates(self) -> dict[str, re.Pattern[str]]:
        return {path: re.compile(re.sub(r"\{\w+\}", "[^/]*", path)) for path in self.document["paths"]}

    def _validator(self, place: str) -> Draft202012Validator:
        return Draft202012Validator({"$ref": f"{BASE}#{place}"}, registry=self._registry)


class CheckedClient(Client):
    """A Client that fails on an answer which the document of the same server does not foresee."""

    def __init__(self, port: int, contract: Contract) -> None:
        super().__init__(port)
        self.contract = contract

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        answer = super().request(method, path, body, headers)
        if method != "OPTIONS":
            self.contract.check(method, path, answer)
        return answer


def _strict(node: Any) -> Any:
    if isinstance(node, list):
        return [_strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    closed = {"additionalProperties": False} if node.get("type") == "object" and "properties" in node else {}
    return {**closed, **{key: _strict(value) for key, value in node.items()}}


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")


def faults(answer: Response) -> dict[str, str]:
    """The faults that a problem document lists: what was wrong by where."""
    return {
        fault.get("pointer", fault.get("parameter", fault.get("header"))): fault["detail"]
        for fault in json.loads(answer.raw)["errors"]
    }
