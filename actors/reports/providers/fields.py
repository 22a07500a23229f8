"""Reader of the JSON in a report, which names the field that is not as documented."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parseaddr

import orjson

from actors.channels import printable
from actors.reports.providers.received import Malformed

LONGEST = 1_000  # characters of an id, an address or a code


def document(text: bytes, limit: int, name: str = "the body") -> object:
    """Return the JSON in a text of at most `limit` bytes, which messages call `name`.

    Raises:
        Malformed: It is larger, or is not JSON in UTF-8.
    """
    if len(text) > limit:
        raise Malformed(f"{name} has more than {limit} bytes")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"{name} is not JSON: {error.msg}") from None


class Fields:
    """JSON object in a report. A field that is null counts as missing."""

    __slots__ = ("_path", "_values")

    def __init__(self, value: object, path: str = "") -> None:
        if not isinstance(value, dict):
            raise Malformed(f"{path or 'the body'} is not an object")
        self._values = value
        self._path = path

    def has(self, name: str) -> bool:
        """Return whether a field is there, whatever its value."""
        return name in self._values

    def is_list(self, name: str) -> bool:
        """Return whether a field is a list, where a provider writes either a list or something else."""
        return isinstance(self._values.get(name), list)

    def text(self, *names: str) -> str | None:
        """Return the first of these fields that is there as text; None if all are missing or empty.

        A whole number counts as text, because codes and ids are written either way.
        """
        for name in names:
            value = self._values.get(name)
            if value is None or value == "":
                continue
            if isinstance(value, bool) or not isinstance(value, str | int):
                raise self._wrong(name, "is not a text")
            return self._plain(name, str(value))
        return None

    def need(self, name: str) -> str:
        """Return a field as text; raise Malformed if it is missing."""
        value = self.text(name)
        if value is None:
            raise self._wrong(name, "is missing")
        return value

    def words(self, *names: str) -> str:
        """Return the first of these fields that is there as one printable line, cut to what is stored; else empty."""
        for name in names:
            value = self._values.get(name)
            if value is None or value == "":
                continue
            if not isinstance(value, str):
                raise self._wrong(name, "is not a text")
            return printable(value)
        return ""

    def flag(self, name: str) -> bool:
        """Return a field that is true or false; False if it is missing."""
        value = self._values.get(name)
        if not isinstance(value, bool | None):
            raise self._wrong(name, "is not true or false")
        return bool(value)

    def fields(self, name: str) -> Fields:
        """Return the object in a field; an empty one if it is missing."""
        value = self._values.get(name)
        return Fields({} if value is None else value, self._within(name))

    def all(self) -> list[Fields]:
        """Return the objects in all fields; raise Malformed if a field is not an object."""
        return [self.fields(name) for name in self._values]

    def objects(self, name: str) -> list[Fields]:
        """Return the objects of a list; none if it is missing."""
        return each(self._list(name), self._within(name))

    def texts(self, name: str) -> list[str]:
        """Return the texts of a list, or the one text that stands instead of a list; none if it is missing."""
        value = self._values.get(name)
        found: list[str] = []
        for one in [value] if isinstance(value, str) else self._list(name):
            if not isinstance(one, str):
                raise self._wrong(name, "has an entry that is not a text")
            found.append(self._plain(name, one))
        return found

    def moment(self, *names: str, per_second: int = 1) -> datetime | None:
        """Return the first of these fields that is there as a time; None if all are missing.

        It is a time in RFC 3339 or alike, in UTC if it names no zone; or a number, of `per_second` units since 1970.
        """
        for name in names:
            value = self._values.get(name)
            if value is None or value == "":
                continue
            try:
                return _moment(value, per_second)
            except (ValueError, OverflowError, OSError, TypeError):
                raise self._wrong(name, "is not a time") from None
        return None

    def _list(self, name: str) -> list[object]:
        value = self._values.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._wrong(name, "is not a list")
        return value

    def _plain(self, name: str, value: str) -> str:
        if len(value) > LONGEST or not value.isprintable():
            raise self._wrong(name, f"is longer than {LONGEST} characters or has control characters")
        return value

    def _within(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def _wrong(self, name: str, fault: str) -> Malformed:
        return Malformed(f"{self._within(name)} {fault}")


def many(body: bytes, limit: int) -> list[Fields]:
    """Return the objects in the list that a body is; raise Malformed if it is none."""
    found = document(body, limit)
    if not isinstance(found, list):
        raise Malformed("the body is not a list")
    return each(found, "events")


def one_or_many(body: bytes, limit: int) -> list[Fields]:
    """Return the objects in a body that is one of them, or a list; raise Malformed if it is neither."""
    found = document(body, limit)
    return each(found, "events") if isinstance(found, list) else [Fields(found)]


def each(values: Iterable[object], path: str) -> list[Fields]:
    """Return the objects of a list; raise Malformed if one of them is not an object."""
    return [Fields(value, f"{path}[{index}]") for index, value in enumerate(values)]


def address(mailbox: str) -> str:
    """Return the address of a mailbox that may have a name, such as `Ann <ann@example.com>`."""
    try:
        return parseaddr(mailbox)[1] or mailbox
    except RecursionError:  # Comments within comments, in versions of Python before 2024-09.
        return mailbox


def _moment(value: object, per_second: int) -> datetime:
    if isinstance(value, str) and not value.replace(".", "", 1).isdigit():
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError
    return datetime.fromtimestamp(float(value) / per_second, UTC)
