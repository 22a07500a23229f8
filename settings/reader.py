"""Read the groups of settings from an environment, and list every fault at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, fields
from typing import Any, NamedTuple, TypeVar

from settings.errors import SettingsError
from settings.group import Group

G = TypeVar("G", bound=Group)


class Variable(NamedTuple):
    """The place of a setting: `settings.<group>.<field.name>`."""

    group: str
    field: Field[Any]


def variables(groups: Mapping[str, type[Group]]) -> dict[str, Variable]:
    """Return the setting of each environment variable; `groups` are classes by their attribute in the settings."""
    return {
        setting.metadata["variable"]: Variable(name, setting)
        for name, group in groups.items()
        for setting in fields(group)  # type: ignore[arg-type]  # each subclass is a dataclass
    }


def read_group(group: type[G], environ: Mapping[str, str]) -> tuple[G, list[str]]:
    """Read one group.

    An unset or blank variable means the default.

    Returns:
        The group, and a sentence for each fault. A number or choice that is wrong has its default.
    """
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for setting in fields(group):  # type: ignore[arg-type]
        variable = setting.metadata["variable"]
        if raw := environ.get(variable, "").strip():
            try:
                values[setting.name] = _parse(variable, raw, setting)
            except SettingsError as error:
                wrong.append(str(error))
    found = group(**values)
    try:
        found = found.completed(values)
    except SettingsError as error:
        wrong.append(str(error))
    return found, [*wrong, *found.faults()]


def _parse(variable: str, raw: str, setting: Field[Any]) -> object:
    if "low" in setting.metadata:
        return _number(variable, raw, setting)
    choices = setting.metadata.get("choices")
    if choices and raw not in choices:
        raise SettingsError(f"{variable} is {raw!r}: give one of {', '.join(choices)}")
    return raw


def _number(variable: str, raw: str, setting: Field[Any]) -> float:
    kind = int if setting.type == "int" else float
    low, high = setting.metadata["low"], setting.metadata["high"]
    try:
        value = kind(raw)
    except ValueError:
        value = None
    if value is None or not low <= value <= high:
        raise SettingsError(f"{variable} is {raw!r}: give a number from {low:g} to {high:g}")
    return value
