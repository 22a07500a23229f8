"""The query of a list: filters, and an opaque cursor that says where the page before ended."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, NamedTuple

from api.http.problems import invalid
from api.http.times import NoTime, moment
from db.models import PRIORITIES, STATUSES, TYPES
from db.reports import Position

DEFAULT_LIMIT = 50
NOT_OURS = "is not a cursor that this API gave out"


class Wrong(ValueError):
    """Why a parameter cannot be taken."""


class Query(NamedTuple):
    filters: dict[str, Any]
    after: Any
    limit: int


def parse(
    parameters: Mapping[str, Any], page_limit: int, parsers: Mapping[str, Callable[[str], Any]] | None = None
) -> Query:
    """The query of a list: of GET /api/notifications, unless it says what `parsers` it has.

    Raises a Problem that lists every wrong parameter.
    """
    if parsers is not None:
        known = {**parsers, "limit": _up_to(page_limit)}
        return _query(_values(parameters, lambda name: _known(name, known)), page_limit)
    values = _values(parameters, lambda name: _parser(name, page_limit))
    names = [name for name in values if name.startswith(_METADATA)]
    metadata = {name.removeprefix(_METADATA): values.pop(name) for name in names}
    return _query(values | ({"metadata": metadata} if metadata else {}), page_limit)


def parse_deliveries(parameters: Mapping[str, Any], page_limit: int) -> Query:
    """The query of the list of an endpoint's callbacks; raises a Problem that lists every wrong parameter."""
    return parse(parameters, page_limit, {name: _PARSERS[name] for name in ("status", "cursor")})


def _query(values: dict[str, Any], page_limit: int) -> Query:
    limit = values.pop("limit", min(DEFAULT_LIMIT, page_limit))
    after = values.pop("cursor", None)
    return Query({_COLUMNS.get(name, name): value for name, value in values.items()}, after, limit)


def whole(parameters: Mapping[str, Any], name: str, most: int) -> int | None:
    """The only parameter that this address takes, a number from 1 to `most`; raises Problem."""
    value: int | None = _values(parameters, lambda given: _known(given, {name: _up_to(most)})).get(name)
    return value


def given(parameters: Mapping[str, Any], parsers: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    """The parameters of what is no list; raises a Problem that lists every wrong one."""
    return _values(parameters, lambda name: _known(name, parsers))


def parse_stream(parameters: Mapping[str, Any], *filters: str) -> dict[str, Any]:
    """The query of a stream: `lastEventId` and some of its `filters`; raises a Problem that lists what is wrong."""
    parsers = {name: _PARSERS[name] for name in filters} | {"lastEventId": event_id}
    return _values(parameters, lambda name: _known(name, parsers))


class Numbered(NamedTuple):
    """Of a list in the order of ids: those above `after`."""

    after: int
    limit: int

    def page(self, found: list[Any]) -> dict[str, Any]:
        """Of `limit` + 1 that were looked for: the items, and the cursor of the page after."""
        items = found[: self.limit]
        return {"items": items, "nextCursor": str(items[-1]["id"]) if len(found) > self.limit else None}


def parse_numbered(parameters: Mapping[str, Any], page_limit: int) -> Numbered:
    """The query of a list that has no filters; raises a Problem that lists every wrong parameter."""
    parsers = {"limit": _up_to(page_limit), "cursor": _up_to(2**63 - 1)}
    values = _values(parameters, lambda name: _known(name, parsers))
    return Numbered(values.get("cursor", 0), values.get("limit", min(DEFAULT_LIMIT, page_limit)))


def cursor(last: Mapping[str, Any]) -> str:
    """The cursor of the page after the one that ends with this row."""
    return encoded(f"{last['created_at'].isoformat()} {last['id']}")


def encoded(place: str) -> str:
    """A place in a list as a cursor."""
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _values(parameters: Mapping[str, Any], parser: Callable[[str], Callable[[str], Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    faults = []
    for name, raw in parameters.items():
        try:
            values[name] = parser(name)(raw if name == _TAG else _single(raw))
        except Wrong as why:
            faults.append({"parameter": name[:100], "detail": str(why)})
    if faults:
        raise invalid(HTTPStatus.BAD_REQUEST, faults)
    return values


def _known(name: str, parsers: Mapping[str, Callable[[str], Any]]) -> Callable[[str], Any]:
    if name not in parsers:
        raise Wrong(f"is not a known parameter; known are {', '.join(parsers)}")
    return parsers[name]


def decoded(raw: str) -> str:
    """The place that a cursor stands for; raises Wrong."""
    try:
        return base64.b64decode(raw + "=" * (-len(raw) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError, ValueError):
        raise Wrong(NOT_OURS) from None


def position(raw: str) -> Position:
    """Where a cursor points to; raises Wrong."""
    when, _, id = decoded(raw).partition(" ")
    try:
        return Position(time(when), number(id, 2**63 - 1))
    except Wrong:
        raise Wrong(NOT_OURS) from None


def time(raw: str) -> datetime:
    """A time as RFC 3339 has it, in UTC; raises Wrong."""
    try:
        return moment(raw)
    except NoTime as why:
        raise Wrong(str(why)) from None


def number(raw: str, most: int) -> int:
    """A whole number from 1 to `most`; raises Wrong."""
    if not (raw.isascii() and raw.isdecimal() and len(raw) < 20 and 1 <= int(raw) <= most):
        raise Wrong(f"must be a whole number from 1 to {most}")
    return int(raw)


def event_id(raw: str) -> int:
    """Where a stream was left, as one of its events says; raises Wrong."""
    if not (raw.isascii() and raw.isdecimal() and len(raw) < 20 and int(raw) < 2**63):
        raise Wrong("must be the id of an event of this stream, as it stands there")
    return int(raw)


def _up_to(most: int) -> Callable[[str], int]:
    return lambda raw: number(raw, most)


def one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    """A parser for one of some words."""

    def parse(raw: str) -> str:
        if raw not in choices:
            raise Wrong(f"must be one of: {', '.join(choices)}")
        return raw

    return parse


def _text(raw: str, most: int = 254) -> str:
    # U+FFFD is what Falcon makes of bytes that are not UTF-8; no address holds it.
    if not 1 <= len(raw) <= most or "\0" in raw or "\ufffd" in raw:
        raise Wrong(f"must have 1 to {most} characters in UTF-8, none of them U+0000")
    return raw


def _value(raw: str) -> str:
    return raw and _text(raw, LONGEST_VALUE)


def _single(raw: Any) -> str:
    if not isinstance(raw, str):
        raise Wrong("must be given once")
    return raw


def _tags(raw: Any) -> list[str]:
    """Once or several times: all of them are wanted."""
    return [_text(tag, LONGEST_WORD) for tag in ([raw] if isinstance(raw, str) else raw)]


_TAG, _METADATA = "tag", "metadata."
# What is longer than TAG_LIMIT or METADATA_VALUE_LIMIT just finds nothing.
LONGEST_WORD, LONGEST_VALUE = 1_000, 100_000
_COLUMNS = {
    "keyId": "key_id",
    "createdFrom": "created_from",
    "createdTo": "created_to",
    "priority": "lane",
    _TAG: "tags",
}
_PARSERS: dict[str, Callable[[str], Any]] = {
    "status": one_of(STATUSES),
    "type": one_of(TYPES),
    "recipient": _text,
    "priority": one_of(PRIORITIES),
    "sandbox": lambda raw: one_of(("true", "false"))(raw) == "true",
    "createdFrom": time,
    "createdTo": time,
    _TAG: _tags,
    "cursor": position,
}


def _parser(name: str, page_limit: int) -> Callable[[str], Any]:
    if name.startswith(_METADATA):
        _text(name.removeprefix(_METADATA), LONGEST_WORD)
        return _value
    return _known(name, {**_PARSERS, "limit": _up_to(page_limit), f"{_METADATA}<key>": _value})
