"""Declaration of a group of settings.

A group is a frozen dataclass. Each field is one setting, made by `number`, `choice`, `text` or `secret`, with its
environment variable, default, unit and bounds; the docstring below the field is the row in the documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import field
from typing import Any, Self

from settings.errors import SettingsError


class Group:
    """Base class of all groups."""

    __slots__ = ()

    def completed(self, given: Collection[str]) -> Self:
        """Return this group with values that follow from its other values.

        Args:
            given: the names of the fields that the environment sets.

        Raises:
            SettingsError: two values contradict each other.
        """
        return self

    def faults(self) -> Iterator[str]:
        """Yield a sentence for each value that is malformed or does not go with another value of the group."""
        yield from ()


def number(variable: str, default: float, unit: str, *, low: float, high: float) -> Any:
    """Declare a number from `low` to `high`; an `int` field accepts whole numbers only."""
    return field(default=default, metadata={"variable": variable, "unit": unit, "low": low, "high": high})


def choice(variable: str, *choices: str) -> Any:
    """Declare one of several words; the first is the default."""
    return field(default=choices[0], metadata={"variable": variable, "unit": "choice", "choices": choices})


def text(variable: str, unit: str = "text", *, default: str = "") -> Any:
    """Declare a text."""
    return field(default=default, metadata={"variable": variable, "unit": unit})


def secret(variable: str) -> Any:
    """Declare a text that holds a password: neither `repr` nor the logs show it."""
    return field(default="", repr=False, metadata={"variable": variable, "unit": "text"})


def fault(check: Callable[[], object]) -> Iterator[str]:
    """Yield the message of the SettingsError that `check` raises, if it raises one."""
    try:
        check()
    except SettingsError as error:
        yield str(error)
