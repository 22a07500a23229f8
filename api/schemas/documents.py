"""Documents of notifications: each is checked against the schema of its channel, and read by its channel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from actors.channels.contract import Channel, Fault, Read, Rights
from actors.channels.registry import channels
from api.schemas import Schema, stored
from settings import Settings

RENDERED = ("subject", "message", "html")  # fields that a template gives


class Documents:
    """Checks and reads documents. `more`: properties that they have besides those of a notification."""

    def __init__(self, settings: Settings, more: Mapping[str, Any] | None = None) -> None:
        self._schemas = {name: Schema(schema_of(channel, more), settings) for name, channel in channels().items()}
        self._readers = {name: channel.reader(settings) for name, channel in channels().items()}
        self._default = next(iter(self._schemas))

    def faults(self, document: Any, rights: Rights) -> list[Fault]:
        """Return the schema faults of a document, before its template is rendered. `read` finds the others."""
        name = self._name(document)
        faults = self._schemas[name].faults(document)
        if faults and isinstance(document, dict):
            wrong = {fault["pointer"].split("/")[1] for fault in faults if fault["pointer"]}
            sound = {field: value for field, value in document.items() if field not in wrong}
            faults += self._readers[name](sound, rights).faults
        return faults

    def read(self, document: Mapping[str, Any], rights: Rights) -> Read:
        """Return the content of a document without faults, whose template is rendered, or the faults of its channel."""
        return self._readers[document["type"]](document, rights)

    def fields(self, name: str) -> Mapping[str, Any]:
        """Return the schemas of the fields that a channel's documents have."""
        fields: Mapping[str, Any] = self._schemas[name].document["properties"]
        return fields

    def text_faults(self, name: str, texts: Mapping[str, Any]) -> list[Fault]:
        """Return the faults of rendered texts by the schema of a channel; texts that the channel does not have are
        ignored."""
        known = {field: text for field, text in texts.items() if field in self.fields(name)}
        found = self._schemas[name].faults({"type": name, **known})
        return [fault for fault in found if fault["pointer"].strip("/") in known]

    def _name(self, document: Any) -> str:
        name = document.get("type") if isinstance(document, dict) else None
        return name if isinstance(name, str) and name in self._schemas else self._default


def schema_of(channel: Channel, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the schema of a channel's notifications: its own fields, and those that all notifications have."""
    own, shared = json.loads(channel.schema.read_text()), stored("notification")
    fields, required = own["properties"], own.get("required", [])
    rendered = [field for field in RENDERED if field in fields]
    properties = {**shared["properties"], **(more or {})}
    kind = {**properties.pop("type"), "enum": list(channels())}
    if not rendered:
        del properties["template"], properties["variables"]
    # Faults are told in the order of these keywords.
    return {
        **{name: shared[name] for name in ("$schema", "title", "description", "type")},
        "required": ["type", *(field for field in required if field not in rendered)],
        **(_with_template(rendered, required) if rendered else {}),
        "additionalProperties": False,
        "properties": {"type": kind, **fields, **properties},
        "examples": own.get("examples", []),
    }


def _with_template(rendered: list[str], required: list[str]) -> dict[str, Any]:
    """Return the condition: either a template with its variables, or the fields that it would give."""
    return {
        "if": {"required": ["template"]},
        "then": {"properties": {field: {"not": {}} for field in rendered}},
        "else": {
            "required": [field for field in rendered if field in required],
            "properties": {"variables": {"not": {}}},
        },
    }
