"""The JSON Schemas of requests, compiled once. Limits in the files are names of settings."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from api.addresses import address_fault
from api.problems import MOST_FAULTS
from api.times import NoTime, moment
from settings import Settings

Fault = dict[str, str]

LONGEST_TIME = 64  # characters, with all the digits of a second that anybody sends
LONGEST_ADDRESS = 254  # octets: RFC 5321, 4.5.3.1.3 without the angle brackets
# Controls (C0, DEL, C1) and Unicode's own line ends. Joiners and wide spaces belong to many languages.
_NOT_IN_ONE_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PRINTABLE = re.compile("[\x20-\x7e]*")

# A format that is not met says why; jsonschema's own formats are weak and are not used.
_formats = FormatChecker(formats=())


class Wanting(ValueError):
    """Why a value does not meet its format."""


@_formats.checks("email", raises=Wanting)
def _is_address(value: object) -> bool:
    # What is longer is refused by maxLength, and would keep this busy.
    if isinstance(value, str) and len(value) <= LONGEST_ADDRESS and (fault := address_fault(value)):
        raise Wanting(f"must be a mail address such as name@example.com: {fault}")
    return True


@_formats.checks("one-line", raises=Wanting)
def _is_one_line(value: object) -> bool:
    if isinstance(value, str) and _NOT_IN_ONE_LINE.search(value):
        raise Wanting("must be one line without control characters")
    return True


@_formats.checks("text", raises=Wanting)
def _is_text(value: object) -> bool:
    if isinstance(value, str) and "\0" in value:
        raise Wanting("must not hold the character U+0000")
    return True


@_formats.checks("date-time", raises=NoTime)
def _is_time(value: object) -> bool:
    if isinstance(value, str) and len(value) <= LONGEST_TIME:
        moment(value)
    return True


@_formats.checks("key", raises=Wanting)
def _is_key(value: object) -> bool:
    if isinstance(value, str) and not _PRINTABLE.fullmatch(value):
        raise Wanting("must have printable ASCII characters only")
    return True


class Schema:
    """One schema file of this folder, ready to check documents. `more` are properties beside those in the file."""

    def __init__(self, name: str, settings: Settings, more: Mapping[str, Any] | None = None) -> None:
        self.document: dict[str, Any] = _with_limits(
            json.loads((Path(__file__).parent / f"{name}.json").read_text()), settings
        )
        self.document["properties"].update(more or {})
        Draft202012Validator.check_schema(self.document)
        self._validator = Draft202012Validator(self.document, format_checker=_formats)

    def faults(self, document: object) -> list[Fault]:
        """Every fault of a document as a JSON pointer (RFC 6901) and a detail.

        Values are never repeated. Of more faults than an answer lists, only so many are found.
        """
        faults = (fault for error in self._validator.iter_errors(document) for fault in _faults(error))
        return [{"pointer": pointer, "detail": detail} for pointer, detail in islice(_unique(faults), MOST_FAULTS + 1)]


def _with_limits(node: Any, settings: Settings) -> Any:
    if isinstance(node, dict):
        return {key: _limit(key, value, settings) for key, value in node.items()}
    return [_with_limits(item, settings) for item in node] if isinstance(node, list) else node


def _limit(key: str, value: Any, settings: Settings) -> Any:
    if key.startswith("max") and isinstance(value, str):
        return getattr(settings, value.lower())
    return _with_limits(value, settings)


def _unique(faults: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Each once: a field that is missing is an error that tells of all that are missing."""
    seen = set()
    for fault in faults:
        if fault not in seen:
            seen.add(fault)
            yield fault


def _faults(error: Any) -> Iterator[tuple[str, str]]:
    place = "".join(f"/{_escaped(str(part))}" for part in error.absolute_path)
    if error.validator == "required":
        for name in error.validator_value:
            if name not in error.instance:
                yield f"{place}/{name}", "is required"
    elif error.validator == "additionalProperties":
        known = error.schema["properties"]
        for name in error.instance:
            if name not in known:
                detail = f"is not a known field; known are {', '.join(known)}"
                yield f"{place}/{_escaped(name)}", detail
    else:
        yield place, _detail(error)


def _detail(error: Any) -> str:
    if error.cause is not None:
        return str(error.cause)
    if error.validator in _DETAILS:
        return _DETAILS[error.validator](error.validator_value, error.instance)
    return f"does not meet {error.validator}"


def _wrong_type(types: Any, _instance: object) -> str:
    names = [types] if isinstance(types, str) else types
    return f"must be {'an' if names[0][0] in 'aeio' else 'a'} {' or '.join(names)}"


def _too_little(things: str) -> Callable[[int, Any], str]:
    return lambda least, _: "must not be empty" if least == 1 else f"must have at least {least} {things}"


_DETAILS: dict[str, Callable[[Any, Any], str]] = {
    "type": _wrong_type,
    "enum": lambda choices, _: f"must be one of: {', '.join(map(str, choices))}",
    "minLength": _too_little("characters"),
    "maxLength": lambda most, given: f"must have at most {most} characters, has {len(given)}",
    "minItems": _too_little("items"),
    "minProperties": _too_little("fields"),
    "maxItems": lambda most, given: f"must have at most {most} items, has {len(given)}",
    "minimum": lambda least, _: f"must be at least {least}",
    "maximum": lambda most, _: f"must be at most {most}",
}


def _escaped(name: str) -> str:
    return name[:100].replace("~", "~0").replace("/", "~1")
