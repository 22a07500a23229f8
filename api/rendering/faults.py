"""What is wrong with a template, a schema or variables, as both processes say it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

MOST_FAULTS = 100  # in one answer
LONGEST_DETAIL = 300  # characters
LONGEST_KEY = 100  # characters of a field's name that are repeated


class Fault(NamedTuple):
    """Where (RFC 6901) and what."""

    pointer: str
    detail: str


class Faulty(Exception):
    """The template, its schema or its variables are at fault."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(f"{len(faults)} faults")
        self.faults = [Fault(fault.pointer, _printable(fault.detail)) for fault in faults]

    @property
    def listed(self) -> list[dict[str, str]]:
        """As an answer has them."""
        return [fault._asdict() for fault in self.faults]


def pointer(parts: Iterable[object]) -> str:
    """The JSON pointer of a path."""
    return "".join("/" + str(part)[:LONGEST_KEY].replace("~", "~0").replace("/", "~1") for part in parts)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:LONGEST_DETAIL]
