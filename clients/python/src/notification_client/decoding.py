"""JSON of the API as dataclasses: camelCase becomes snake_case, times become datetime."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Self

from notification_client.errors import UnexpectedAnswer

# `from` is a keyword of Python.
RENAMED = {"sender": "from"}


@dataclass(frozen=True, kw_only=True)
class Model:
    """Part of an answer. `json` is all of it, with fields that this version does not know."""

    json: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    _readers: ClassVar[list[tuple[str, str, Callable[[Any], Any]]]]
    """Each field, its name in JSON, and how to read its value."""

    def __init_subclass__(cls) -> None:
        hints = {name: hint for name, hint in typing.get_type_hints(cls).items() if name not in ("json", "_readers")}
        cls._readers = [(name, camel(name), _reader(hint)) for name, hint in hints.items()]

    @classmethod
    def read(cls, document: Any) -> Self:
        """Return this JSON object as a model; raise UnexpectedAnswer if a field is missing or malformed."""
        if not isinstance(document, dict):
            raise UnexpectedAnswer(f"the API answered {type(document).__name__} instead of a {cls.__name__}")
        try:
            values = {name: reader(document[key]) for name, key, reader in cls._readers if key in document}
            return cls(**values, json=document)
        except (TypeError, ValueError) as error:
            raise UnexpectedAnswer(f"the API answered a {cls.__name__} that is not complete: {error}") from error


def camel(name: str) -> str:
    """Return the name of a field in JSON."""
    first, *rest = name.split("_")
    return RENAMED.get(name) or first + "".join(map(str.title, rest))


def _reader(hint: Any) -> Callable[[Any], Any]:
    if isinstance(hint, types.UnionType):
        readers = [_reader(part) for part in typing.get_args(hint) if part is not type(None)]
        return lambda value: None if value is None else readers[0](value)
    if hint is datetime:
        return datetime.fromisoformat
    if typing.get_origin(hint) is list:
        read_one = _reader(typing.get_args(hint)[0])
        return lambda values: [read_one(value) for value in values]
    if isinstance(hint, type) and issubclass(hint, Model):
        return hint.read
    return lambda value: value
