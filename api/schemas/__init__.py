"""The JSON Schemas of requests, compiled once. Limits in the files are names of settings."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from api.addresses import address_fault
from api.pages import Wrong, time_of
from api.problems import MOST_FAULTS
from settings import Settings

Fault = dict[str, str]

LONGEST_ADDRESS = 254  # octets: RFC 5321, 4.5.3.1.3 without the angle brackets
# Controls (C0, DEL, C1) and Unicode's own line ends. Joiners and wide spaces belong to many languages.
TEMPLATE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_NOT_IN_ONE_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")

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


@_formats.checks("template-name", raises=Wanting)
def _is_template_name(value: object) -> bool:
    if isinstance(value, str) and not TEMPLATE_NAME.fullmatch(value):
        raise Wanting("must have 1 to 100 of a-z A-Z 0-9 . _ -, the first a letter or digit")
    return True


@_formats.checks("date-time", raises=Wrong)
def _is_time(value: object) -> bool:
    if isinstance(value, str):
        time_of(value)
    return True


class Schema:
    """One schema file of this folder, ready to check documents."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.document: dict[str, Any] = _with_limits(
            json.loads((Path(__file__).parent / f"{name}.json").read_text()), settings
        )
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
    value = error.validator_value
    if error.cause is not None:
        return str(error.cause)
    if error.validator == "maxLength":
        return f"must have at most {value} characters, has {len(error.instance)}"
    return _WANTED.get(error.validator, lambda _: f"does not meet {error.validator}")(value)


def _any_of(types: str | list[str]) -> str:
    return "must be " + " or ".join(map(_article, [types] if isinstance(types, str) else types))


def _article(type: str) -> str:
    return type if type == "null" else f"{'an' if type[0] in 'aeio' else 'a'} {type}"


_WANTED: dict[str, Callable[[Any], str]] = {
    "type": _any_of,
    "enum": lambda value: f"must be one of: {', '.join(map(str, value))}",
    "minLength": lambda value: "must not be empty" if value == 1 else f"must have at least {value} characters",
    "minimum": lambda value: f"must be at least {value}",
    "maximum": lambda value: f"must be at most {value}",
    # It stands before what allows nothing; of the schema `false` jsonschema forgets the place.
    "not": lambda _: "must be left out: give either template and variables, or subject, message and html",
}


def _escaped(name: str) -> str:
    return name[:100].replace("~", "~0").replace("/", "~1")
