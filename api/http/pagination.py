"""Query parameters of lists: filters, a limit, and an opaque cursor that says where the previous page ended."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any, NamedTuple

from actors.channels.addresses import LONGEST, normalised
from actors.channels.registry import channels
from api.http.problems import invalid
from api.http.times import NoTime, moment
from db.models import DELIVERY_STATUSES, PRIORITIES, STATUSES
from db.reports import Position

DEFAULT_LIMIT, LARGEST_LIMIT = 50, 200  # items on a page: unless the client says, and at most
NOT_OURS = "is not a cursor that this API gave out"


class Wrong(ValueError):
    """A parameter is invalid; the message says why."""


class Query(NamedTuple):
    """Parsed query of a list."""

    filters: dict[str, Any]
    after: Any
    limit: int


def parse(parameters: Mapping[str, Any], parsers: Mapping[str, Callable[[str], Any]] | None = None) -> Query:
    """Return the query of a list, by default that of GET /api/notifications; `parsers` are its filters otherwise.

    Raise a Problem that lists every invalid parameter.
    """
    if parsers is not None:
        known = {**parsers, "limit": _LIMIT}
        return _query(_values(parameters, lambda name: _known(name, known)))
    return _query(_with_metadata(_values(parameters, _parser)))


def _with_metadata(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a query with the filters for metadata, in either form, as one."""
    pairs = values.pop(_METADATA, {})
    named = {name.removeprefix(_KEYED): values.pop(name) for name in list(values) if name.startswith(_KEYED)}
    if pairs.keys() & named.keys():
        raise invalid(HTTPStatus.BAD_REQUEST, [{"parameter": _METADATA, "detail": TWICE}])
    return values | ({_METADATA: pairs | named} if pairs or named else {})


def parse_deliveries(parameters: Mapping[str, Any]) -> Query:
    """Return the query of the list of an endpoint's deliveries; raise a Problem that lists every invalid parameter."""
    return parse(parameters, {name: _PARSERS[name] for name in ("status", "cursor")})


def _query(values: dict[str, Any]) -> Query:
    limit = values.pop("limit", DEFAULT_LIMIT)
    after = values.pop("cursor", None)
    return Query({_COLUMNS.get(name, name): value for name, value in values.items()}, after, limit)


def whole(parameters: Mapping[str, Any], name: str, most: int) -> int | None:
    """Return the only parameter of a path, a number from 1 to `most`, or None; raise Problem."""
    value: int | None = _values(parameters, lambda given: _known(given, {name: _up_to(most)})).get(name)
    return value


def given(parameters: Mapping[str, Any], parsers: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    """Return the parameters of a request that is not for a list; raise a Problem that lists every invalid one."""
    return _values(parameters, lambda name: _known(name, parsers))


def filters(parameters: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return the filters of these names, by column; raise a Problem that lists every invalid parameter."""
    found = _values(parameters, lambda name: _known(name, {known: _PARSERS[known] for known in names}))
    return {_COLUMNS.get(name, name): value for name, value in found.items()}


def parse_stream(parameters: Mapping[str, Any], *filters: str) -> dict[str, Any]:
    """Return the query of a stream: `lastEventId` and these `filters`; raise a Problem that lists every invalid one."""
    parsers = {name: _PARSERS[name] for name in filters} | {"lastEventId": event_id}
    return _values(parameters, lambda name: _known(name, parsers))


class Numbered(NamedTuple):
    """Query of a list in the order of ids: up to `limit` items whose id is above `after`."""

    after: int
    limit: int

    def page(self, found: list[Any]) -> dict[str, Any]:
        """Return the page with its cursor as JSON; `found` has up to `limit` + 1 rows."""
        items = found[: self.limit]
        return {"items": items, "nextCursor": str(items[-1]["id"]) if len(found) > self.limit else None}


def parse_numbered(parameters: Mapping[str, Any]) -> Numbered:
    """Return the query of a list without filters; raise a Problem that lists every invalid parameter."""
    parsers = {"limit": _LIMIT, "cursor": _up_to(2**63 - 1)}
    values = _values(parameters, lambda name: _known(name, parsers))
    return Numbered(values.get("cursor", 0), values.get("limit", DEFAULT_LIMIT))


def cursor(last: Mapping[str, Any]) -> str:
    """Return the cursor of the page that follows this row."""
    return encoded(f"{last['created_at'].isoformat()} {last['id']}")


def encoded(place: str) -> str:
    """Return a position in a list as a cursor."""
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _values(parameters: Mapping[str, Any], parser: Callable[[str], Callable[[str], Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    faults = []
    for name, raw in parameters.items():
        try:
            values[name] = parser(name)(raw if name in (_TAG, _METADATA) else _single(raw))
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
    """Return the position in a cursor; raise Wrong."""
    try:
        return base64.b64decode(raw + "=" * (-len(raw) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError, ValueError):
        raise Wrong(NOT_OURS) from None


def position(raw: str) -> Position:
    """Return the position in a cursor of a list by time; raise Wrong."""
    when, _, id = decoded(raw).partition(" ")
    try:
        return Position(time(when), number(id, 2**63 - 1))
    except Wrong:
        raise Wrong(NOT_OURS) from None


def time(raw: str) -> datetime:
    """Return a time in the format of RFC 3339 in UTC; raise Wrong."""
    try:
        return moment(raw)
    except NoTime as why:
        raise Wrong(str(why)) from None


def number(raw: str, most: int) -> int:
    """Return a whole number from 1 to `most`; raise Wrong."""
    if not (raw.isascii() and raw.isdecimal() and len(raw) < 20 and 1 <= int(raw) <= most):
        raise Wrong(f"must be a whole number from 1 to {most}")
    return int(raw)


def event_id(raw: str) -> int:
    """Return the id of the last event that a client has read of a stream; raise Wrong."""
    if not (raw.isascii() and raw.isdecimal() and len(raw) < 20 and int(raw) < 2**63):
        raise Wrong("must be the `id` of an event of this stream")
    return int(raw)


def _up_to(most: int) -> Callable[[str], int]:
    return lambda raw: number(raw, most)


def one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    """Return a parser that accepts these words."""

    def parse(raw: str) -> str:
        if raw not in choices:
            raise Wrong(f"must be one of: {', '.join(choices)}")
        return raw

    return parse


def _text(raw: str, most: int = 254) -> str:
    # Falcon replaces bytes that are not UTF-8 with U+FFFD, which no address contains.
    if not 1 <= len(raw) <= most or "\0" in raw or "\ufffd" in raw:
        raise Wrong(f"must have 1 to {most} characters in UTF-8, without U+0000")
    return raw


def _value(raw: str) -> str:
    return raw and _text(raw, LONGEST_VALUE)


def _single(raw: Any) -> str:
    if not isinstance(raw, str):
        raise Wrong("must be given once")
    return raw


def _tags(raw: Any) -> list[str]:
    """Return the tags of a parameter that may be given several times."""
    return [_text(tag, LONGEST_WORD) for tag in ([raw] if isinstance(raw, str) else raw)]


def _pairs(raw: Any) -> dict[str, str]:
    """Return the metadata of a parameter `metadata=key=value`, which may be given several times."""
    given = [one.partition("=") for one in ([raw] if isinstance(raw, str) else raw)]
    if not all(equals for _, equals, _ in given):
        raise Wrong("must be key=value")
    pairs = {_text(key, LONGEST_WORD): _value(value) for key, _, value in given}
    if len(pairs) < len(given):
        raise Wrong(TWICE)
    return pairs


# `metadata=key=value` is in the API document, because every generated client can send it.
_TAG, _METADATA, _KEYED = "tag", "metadata", "metadata."
TWICE = "must give each key once"
# A value longer than any tag or metadata value is accepted and finds nothing.
LONGEST_WORD, LONGEST_VALUE = 1_000, 100_000
_COLUMNS = {"keyId": "key_id", "createdFrom": "created_from", "createdTo": "created_to"}
_COLUMNS |= {_TAG: "tags", "deliveryStatus": "delivery_status"}
_PARSERS: dict[str, Callable[[str], Any]] = {
    "status": one_of(STATUSES),
    "deliveryStatus": one_of(DELIVERY_STATUSES),
    "type": one_of(tuple(channels())),
    "recipient": lambda raw: normalised(_text(raw, LONGEST)),
    "priority": one_of(PRIORITIES),
    "sandbox": lambda raw: one_of(("true", "false"))(raw) == "true",
    "createdFrom": time,
    "createdTo": time,
    **{_TAG: _tags, _METADATA: _pairs, "cursor": position},
}

_LIMIT = _up_to(LARGEST_LIMIT)


def _parser(name: str) -> Callable[[str], Any]:
    if name.startswith(_KEYED):
        _text(name.removeprefix(_KEYED), LONGEST_WORD)
        return _value
    return _known(name, {**_PARSERS, "limit": _LIMIT, f"{_KEYED}<key>": _value})
