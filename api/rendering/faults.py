"""Faults of templates, schemas and variables, as both processes represent them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

MOST_FAULTS = 100  # in one answer
LONGEST_DETAIL = 300  # characters
LONGEST_KEY = 100  # characters of a field's name in a pointer


class Fault(NamedTuple):
    """JSON pointer (RFC 6901) and detail of a fault."""

    pointer: str
    detail: str


class Faulty(Exception):
    """The template, its schema or its variables have faults."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(f"{len(faults)} faults")
        self.faults = [Fault(fault.pointer, _printable(fault.detail)) for fault in faults]

    @property
    def listed(self) -> list[dict[str, str]]:
        """Return the faults in the form of an answer."""
        return [fault._asdict() for fault in self.faults]


def pointer(parts: Iterable[object]) -> str:
    """Return the JSON pointer of a path."""
    return "".join("/" + str(part)[:LONGEST_KEY].replace("~", "~0").replace("/", "~1") for part in parts)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:LONGEST_DETAIL]
