"""JSON Schema (draft 2020-12) of a template's variables. Used in the child process only.

A schema can run for ever, as its regular expressions may backtrack and its references may multiply. It can refer only
to itself: nothing is fetched.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from itertools import islice
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from referencing import Registry

from actors.channels.email.addresses import address_fault
from api.rendering.faults import MOST_FAULTS, Fault, Faulty, pointer

DIALECT = "https://json-schema.org/draft/2020-12/schema"
LONGEST_FORMATTED = 2_000  # characters; URIs are the longest
_META = Draft202012Validator(Draft202012Validator.META_SCHEMA)
_RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_WEB = re.compile(r"https?://[^\s<>\"\\^`{|}\x00-\x20\x7f]+", re.IGNORECASE)


def _is_email(text: str) -> bool:
    return address_fault(text) is None


def _is_uri(text: str) -> bool:
    """Return whether this is an http or https URL. Escaping would not make `javascript:` safe in a link."""
    return bool(_WEB.fullmatch(text)) and bool(urlsplit(text).hostname)


def _is_date(text: str) -> bool:
    return bool(_DATE.fullmatch(text)) and bool(date.fromisoformat(text))


def _is_time(text: str) -> bool:
    return bool(_RFC_3339.fullmatch(text)) and bool(datetime.fromisoformat(text))


FORMATS: dict[str, Callable[[str], object]] = {
    "date": _is_date,
    "date-time": _is_time,
    "email": _is_email,
    "ipv4": ipaddress.IPv4Address,
    "ipv6": ipaddress.IPv6Address,
    "uri": _is_uri,
    "uuid": UUID,
}


def _checker() -> FormatChecker:
    checker = FormatChecker(formats=())
    for name, check in FORMATS.items():
        checker.checks(name, raises=ValueError)(_of_text(check))
    return checker


def _of_text(check: Callable[[str], object]) -> Callable[[object], bool]:
    def checked(value: object) -> bool:
        return not isinstance(value, str) or (len(value) <= LONGEST_FORMATTED and bool(check(value)))

    return checked


_FORMATS = _checker()


class Variables:
    """Compiled schema; raises Faulty with pointers below /schema."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        faults = [Fault("/schema" + pointer(e.absolute_path), _detail(e)) for e in _META.iter_errors(schema)]
        faults += _unusable(schema, "/schema")
        if faults:
            raise Faulty(faults[:MOST_FAULTS])
        self._validator = Draft202012Validator(schema, registry=Registry(), format_checker=_FORMATS)

    def check(self, variables: Mapping[str, Any]) -> None:
        """Raise Faulty, with pointers below /variables, unless the variables conform to the schema."""
        if faults := list(islice(self._faults(variables), MOST_FAULTS)):
            raise Faulty(faults)

    def _faults(self, variables: Mapping[str, Any]) -> Iterator[Fault]:
        try:
            for error in self._validator.iter_errors(variables):
                yield from _told(error)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - for example a reference to nothing or in a circle
            yield Fault("/variables", f"cannot be checked: the template's schema fails with {type(error).__name__}")


def _unusable(node: Any, place: str) -> Iterator[Fault]:
    """Yield faults for what the metaschema allows but this system does not support."""
    if isinstance(node, list):
        for number, item in enumerate(node):
            yield from _unusable(item, f"{place}/{number}")
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        there = place + pointer([key])
        if isinstance(value, str) and (detail := _wrong(key, value)):
            yield Fault(there, detail)
        if key == "patternProperties" and isinstance(value, dict):
            yield from (Fault(there, detail) for pattern in value if (detail := _wrong("pattern", pattern)))
        yield from _unusable(value, there)


def _wrong(keyword: str, value: str) -> str | None:
    if keyword in ("$ref", "$dynamicRef") and not value.startswith("#"):
        return "must begin with #, because a schema can refer only to its own parts"
    if keyword == "$schema" and value.rstrip("#") != DIALECT:
        return f"must be {DIALECT}, or left out"
    if keyword == "format" and value not in FORMATS:
        return f"is not a supported format; supported are {', '.join(FORMATS)}"
    if keyword == "pattern":
        try:
            re.compile(value)
        except (re.error, RecursionError, OverflowError) as error:
            return f"is not a regular expression in Python's syntax: {error}"
    return None


def _told(error: ValidationError) -> Iterator[Fault]:
    """Yield the faults of an error, without the invalid value, which may be a secret."""
    place = "/variables" + pointer(error.absolute_path)
    wanted: Any = error.validator_value
    instance: Any = error.instance
    if error.validator == "required":
        # Each missing name has an error of its own, and only its message says which name it is.
        missing = [name for name in wanted if name not in instance and error.message.startswith(repr(name))]
        yield from (Fault(place + pointer([name]), "is required") for name in missing[:1])
    elif error.validator == "additionalProperties" and wanted is False:
        known = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
        unknown = [name for name in instance if name not in known]
        detail = "is not a variable of this template: leave it out"
        yield from (Fault(place + pointer([name]), detail) for name in unknown)
    else:
        yield Fault(place, _detail(error))


def _detail(error: ValidationError) -> str:
    wanted: Any = error.validator_value
    if error.validator == "type":
        return f"must be of type {wanted if isinstance(wanted, str) else ' or '.join(map(str, wanted))}"
    if error.validator in ("enum", "const"):
        return f"must be {'one of ' if error.validator == 'enum' else ''}{wanted}"
    if error.validator == "format":
        return f"must have the format {wanted}"
    if isinstance(wanted, (str, int, float)):
        return f"does not conform to {error.validator}: {wanted}"
    return f"does not conform to {error.validator or 'a schema that allows nothing'}"
