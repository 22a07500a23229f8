"""JSON Schemas of requests, compiled once. Where a schema file has a limit in capitals, it names a setting."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from actors.channels.contract import Fault
from api.http.problems import MOST_FAULTS
from api.schemas.details import faults_of
from api.schemas.fast_validator import FastValidator
from api.schemas.formats import FORMATS, LONGEST_ADDRESS, TEMPLATE_NAME
from api.schemas.frugal import Validator
from settings import Settings

__all__ = ["LONGEST_ADDRESS", "TEMPLATE_NAME", "Fault", "Schema", "stored", "with_limits"]


class Schema:
    """Compiled schema: that of a file in this folder, by its name, or the one given.

    Raises:
        jsonschema_rs.ValidationError: It is no JSON Schema of the draft 2020-12.
    """

    def __init__(self, schema: str | Mapping[str, Any], settings: Settings) -> None:
        self.document = with_limits(schema, settings)
        self._validator = Validator(self.document, format_checker=FORMATS)
        self._fast_validator = FastValidator(self.document, FORMATS)

    def faults(self, document: object) -> list[Fault]:
        """Return the faults of a document, each with a JSON pointer (RFC 6901) and a detail.

        Details never repeat values. The search stops after one fault more than an answer lists.
        """
        return [] if self._fast_validator.sound(document) else self._explained(document)

    def _explained(self, document: object) -> list[Fault]:
        faults = (fault for error in self._validator.iter_errors(document) for fault in faults_of(error))
        return [{"pointer": pointer, "detail": detail} for pointer, detail in islice(_unique(faults), MOST_FAULTS + 1)]


def with_limits(schema: str | Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Return the schema of a file in this folder, by its name, or the one given, with the limits of the settings."""
    limited: dict[str, Any] = _limited(stored(schema) if isinstance(schema, str) else schema, settings)
    return limited


def stored(name: str) -> dict[str, Any]:
    """Return the schema of a file in this folder, without the limits."""
    schema: dict[str, Any] = json.loads((Path(__file__).parent / f"{name}.json").read_text())
    return schema


def _limited(node: Any, settings: Settings) -> Any:
    if isinstance(node, Mapping):
        return {key: _limit(key, value, settings) for key, value in node.items()}
    return [_limited(item, settings) for item in node] if isinstance(node, list) else node


def _limit(key: str, value: Any, settings: Settings) -> Any:
    if key.startswith("max") and isinstance(value, str):
        return settings.value(value)
    return _limited(value, settings)


def _unique(faults: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield each fault once: jsonschema reports all missing fields of an object with each of them."""
    seen = set()
    for fault in faults:
        if fault not in seen:
            seen.add(fault)
            yield fault
