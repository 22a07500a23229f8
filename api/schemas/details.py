"""Details of faults: what a request has to change, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from actors.channels.contract import pointer


def faults_of(error: Any) -> Iterator[tuple[str, str]]:
    """Yield the faults in an error of jsonschema, each with a JSON pointer (RFC 6901) and a detail."""
    place = pointer(*map(str, error.absolute_path))
    if error.validator == "required":
        for name in error.validator_value:
            if name not in error.instance:
                yield f"{place}/{name}", "is required"
    elif error.validator == "additionalProperties":
        known = error.schema["properties"]
        for name in error.instance:
            if name not in known:
                detail = f"is not a known field; known are {', '.join(known)}"
                yield place + pointer(name), detail
    elif "propertyNames" in error.absolute_schema_path and error.validator == "maxLength":
        yield place, f"has a key of more than {error.validator_value} characters"
    else:
        yield place, _detail(error)


def _detail(error: Any) -> str:
    if error.cause is not None:
        return str(error.cause)
    value = error.validator_value
    if error.validator == "type":
        kinds = [value] if isinstance(value, str) else value
        return f"must be {' or '.join(_ARTICLES.get(kind, f'a {kind}') for kind in kinds)}"
    if error.validator == "enum":
        return f"must be one of: {', '.join(map(str, value))}"
    if error.validator in ("minLength", "minItems") and value == 1:
        return "must not be empty"
    if error.validator in _COUNTED:
        return f"must have at most {value} {_COUNTED[error.validator]}, has {len(error.instance)}"
    return _BOUNDS.get(error.validator, f"does not conform to {error.validator}").format(value)


_ARTICLES = {"integer": "a whole number", "object": "an object", "array": "an array", "null": "null"}
_BOUNDS = {
    "minLength": "must have at least {} characters",
    "minProperties": "must name at least {} field",
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "minItems": "must have at least {} of them",
    "uniqueItems": "must not have the same item twice",
    # `unsubscribe`, where false is the value to refuse.
    "const": "must be true, or an object with a url",
    # The schemas have it in place of `false`, whose errors have no path in jsonschema.
    "not": "must be left out: give either template and variables, or subject, message and html",
}


_COUNTED = {"maxLength": "characters", "maxItems": "entries", "maxProperties": "entries"}
