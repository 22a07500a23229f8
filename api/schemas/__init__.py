"""JSON Schemas of requests, compiled once. Where a schema file has a limit in capitals, it names a setting."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from api.addresses import address_fault
from api.problems import MOST_FAULTS
from api.schemas.frugal import Validator
from api.schemas.verdict import Verdict
from api.times import NoTime, moment
from mailboxes import NotOne, holds_addresses, split
from settings import Settings

Fault = dict[str, str]

LONGEST_URL = 900  # characters: it has to fit into one line of a mail, of at most 998
LONGEST_TIME = 64  # characters: enough for any fraction of a second
LONGEST_MAILBOX = 1_000  # characters: the largest possible MAILBOX_LIMIT
LONGEST_ADDRESS = 254  # octets: RFC 5321, 4.5.3.1.3, without the angle brackets
TEMPLATE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# Controls (C0, DEL, C1) and Unicode's line separators. Joiners and wide spaces are allowed: many languages need them.
_NOT_IN_ONE_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_METADATA_KEY = re.compile("[A-Za-z0-9_.-]+")
_PRINTABLE = re.compile("[\x20-\x7e]*")

_HTTPS = re.compile(r"https://[A-Za-z0-9.-]+(?::\d{1,5})?(?:[/?][A-Za-z0-9._~:/?@!$&'()*+,;=%-]*)?")
_WORD = r"[A-Za-z0-9!#$&^_.+-]{1,100}"
_QUOTED = r'"[A-Za-z0-9 !#-\[\]-~]{0,100}"'
# RFC 2045, 5.1, without the parameter name: `filename` has the name of the file.
_CONTENT_TYPE = re.compile(
    rf"{_WORD}/{_WORD}(?:; ?(?!name[*=]|boundary=){_WORD}=(?:{_WORD}|{_QUOTED}))*", re.ASCII | re.IGNORECASE
)
_CONTENT_ID = re.compile(r"[A-Za-z0-9._+@-]{1,100}")

# Our formats say why a value is invalid. jsonschema's own formats are too lax and are not used.
_formats = FormatChecker(formats=())


class Wanting(ValueError):
    """A value does not have its format; the message says why."""


@_formats.checks("email", raises=Wanting)
def _is_address(value: object) -> bool:
    # maxLength refuses longer values, which would take long to check.
    if isinstance(value, str) and len(value) <= LONGEST_ADDRESS and (fault := address_fault(value)):
        raise Wanting(f"must be a mail address such as name@example.com: {fault}")
    return True


@_formats.checks("mailbox", raises=Wanting)
def _is_mailbox(value: object) -> bool:
    # The time for this check grows with the square of the length.
    if isinstance(value, str) and len(value) <= LONGEST_MAILBOX:
        _is_one_line(value)
        address = _address_of(value)
        if len(address) > LONGEST_ADDRESS:
            raise Wanting(f"has an address of more than {LONGEST_ADDRESS} characters")
        if fault := address_fault(address):
            raise Wanting(f"must be a mail address, or a name followed by <name@example.com>: {fault}")
    return True


def _address_of(mailbox: str) -> str:
    try:
        return split(mailbox)[1]
    except NotOne as error:
        raise Wanting(str(error)) from None
    except ValueError:
        raise Wanting("must be a mail address, or a name followed by <name@example.com>") from None


@_formats.checks("display-name", raises=Wanting)
def _is_display_name(value: object) -> bool:
    if isinstance(value, str) and len(value) <= LONGEST_MAILBOX:
        _is_one_line(value)
        if holds_addresses(value):
            raise Wanting(
                "must be the name of one recipient, but contains an address: give further recipients in cc or bcc"
            )
    return True


@_formats.checks("https-url", raises=Wanting)
def _is_https_url(value: object) -> bool:
    if isinstance(value, str) and not (len(value) <= LONGEST_URL and _HTTPS.fullmatch(value)):
        raise Wanting(f"must be an https:// URL (RFC 3986) of at most {LONGEST_URL} characters")
    return True


@_formats.checks("content-type", raises=Wanting)
def _is_content_type(value: object) -> bool:
    if isinstance(value, str) and len(value) <= LONGEST_URL and not _CONTENT_TYPE.fullmatch(value):
        raise Wanting("must be a type such as application/pdf or text/csv; charset=utf-8, without the parameter name")
    return True


@_formats.checks("content-id", raises=Wanting)
def _is_content_id(value: object) -> bool:
    if isinstance(value, str) and not _CONTENT_ID.fullmatch(value):
        raise Wanting("must have 1 to 100 characters: letters, digits and . _ + - @")
    return True


@_formats.checks("one-line", raises=Wanting)
def _is_one_line(value: object) -> bool:
    if isinstance(value, str) and _NOT_IN_ONE_LINE.search(value):
        raise Wanting("must be one line without control characters")
    return True


@_formats.checks("sender", raises=Wanting)
def _is_sender(value: object) -> bool:
    if not isinstance(value, str) or len(value) > LONGEST_ADDRESS:
        return True
    # A domain is checked as part of an address.
    if fault := address_fault(f"a{value}" if value.startswith("@") else value):
        raise Wanting(f"must be a mail address, or @example.com for all addresses of a domain: {fault}")
    return True


@_formats.checks("text", raises=Wanting)
def _is_text(value: object) -> bool:
    if isinstance(value, str) and "\0" in value:
        raise Wanting("must not contain the character U+0000")
    return True


@_formats.checks("metadata-key", raises=Wanting)
def _is_metadata_key(value: object) -> bool:
    if isinstance(value, str) and not _METADATA_KEY.fullmatch(value):
        raise Wanting("has a key with other characters than letters, digits, _, - and dots")
    return True


@_formats.checks("date-time", raises=NoTime)
def _is_time(value: object) -> bool:
    if isinstance(value, str) and len(value) <= LONGEST_TIME:
        moment(value)
    return True


@_formats.checks("template-name", raises=Wanting)
def _is_template_name(value: object) -> bool:
    if isinstance(value, str) and not TEMPLATE_NAME.fullmatch(value):
        raise Wanting("must have 1 to 100 of a-z A-Z 0-9 . _ -, and begin with a letter or digit")
    return True


@_formats.checks("key", raises=Wanting)
def _is_key(value: object) -> bool:
    if isinstance(value, str) and not _PRINTABLE.fullmatch(value):
        raise Wanting("must have only printable ASCII characters")
    return True


class Schema:
    """Compiled schema of one file in this folder, with `more` properties than the file has."""

    def __init__(self, name: str, settings: Settings, more: Mapping[str, Any] | None = None) -> None:
        self.document: dict[str, Any] = _with_limits(
            json.loads((Path(__file__).parent / f"{name}.json").read_text()), settings
        )
        self.document["properties"].update(more or {})
        Draft202012Validator.check_schema(self.document)
        self._validator = Validator(self.document, format_checker=_formats)
        self._verdict = Verdict(self.document, _formats)

    def faults(self, document: object) -> list[Fault]:
        """Return the faults of a document, each with a JSON pointer (RFC 6901) and a detail.

        Details never repeat values. The search stops after one fault more than an answer lists.
        """
        return [] if self._verdict.sound(document) else self._explained(document)

    def _explained(self, document: object) -> list[Fault]:
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
    """Yield each fault once: jsonschema reports all missing fields of an object with each of them."""
    seen = set()
    for fault in faults:
        if fault not in seen:
            seen.add(fault)
            yield fault


def _faults(error: Any) -> Iterator[tuple[str, str]]:
    place = "".join(f"/{escaped(str(part))}" for part in error.absolute_path)
    if error.validator == "required":
        for name in error.validator_value:
            if name not in error.instance:
                yield f"{place}/{name}", "is required"
    elif error.validator == "additionalProperties":
        known = error.schema["properties"]
        for name in error.instance:
            if name not in known:
                detail = f"is not a known field; known are {', '.join(known)}"
                yield f"{place}/{escaped(name)}", detail
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


def escaped(name: str) -> str:
    return name[:100].replace("~", "~0").replace("/", "~1")
