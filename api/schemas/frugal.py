"""jsonschema's validator, without two habits whose cost grows with the size of an invalid document.

jsonschema writes the invalid value into each message, even if it has ten megabytes, and it checks all entries of an
array or object that has too many. The messages of this API never repeat a value: see api/schemas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend


def _type(validator: Any, types: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    kinds = [types] if isinstance(types, str) else types
    if not any(validator.is_type(instance, kind) for kind in kinds):
        yield ValidationError("")


def _enum(_validator: Any, allowed: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    # The schemas of this API list only strings.
    if not isinstance(instance, str) or instance not in allowed:
        yield ValidationError("")


def _not(validator: Any, schema: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if validator.evolve(schema=schema).is_valid(instance):
        yield ValidationError("")


def _format(validator: Any, name: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    check, raises = validator.format_checker.checkers.get(name, (None, ()))
    try:
        if check is not None:
            check(instance)
    except raises as error:
        yield ValidationError("", cause=error)


def _at_most(kind: str) -> Callable[..., Iterator[ValidationError]]:
    """Return a check of the length of values of this type."""

    def checked(validator: Any, most: int, instance: Any, _schema: Any) -> Iterator[ValidationError]:
        if validator.is_type(instance, kind) and len(instance) > most:
            yield ValidationError("")

    return checked


def _if_few(keyword: str, most: str) -> Callable[..., Iterator[ValidationError]]:
    """Return a check that skips arrays and objects with too many entries, which are a fault already."""
    check = Draft202012Validator.VALIDATORS[keyword]

    def checked(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        if not isinstance(instance, (list, dict)) or len(instance) <= schema.get(most, inf):
            yield from check(validator, value, instance, schema)

    return checked


def _additional(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """Yield one error for all unknown properties together, where none are allowed."""
    if value is not False:
        yield from _few_additional(validator, value, instance, schema)
    elif isinstance(instance, dict) and not instance.keys() <= schema.get("properties", {}).keys():
        yield ValidationError("")


_few_additional = _if_few("additionalProperties", "maxProperties")

Validator: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {
        "type": _type,
        "enum": _enum,
        "not": _not,
        "format": _format,
        "maxLength": _at_most("string"),
        "maxItems": _at_most("array"),
        "maxProperties": _at_most("object"),
        "items": _if_few("items", "maxItems"),
        "uniqueItems": _if_few("uniqueItems", "maxItems"),
        "propertyNames": _if_few("propertyNames", "maxProperties"),
        "additionalProperties": _additional,
    },
)
