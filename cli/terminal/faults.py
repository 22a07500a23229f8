"""Faults of a request in the words of the command line: `--at` where the API says `/sendAt`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import click

# Fields, query parameters and headers of the API whose option or argument has another name in the code.
RENAMED = {
    "Idempotency-Key": "key",
    "Last-Event-ID": "after",
    "createdFrom": "since",
    "failureReason": "reason",
    "lastOutcome": "reason",
    "url": "endpoint",
}
_TYPED = f"{__name__}.typed"
_TWO_WORDS = re.compile(r"\b[a-z]+[A-Z]\w*")  # sendAt, but not "html", which may be meant as the word


def typed(field: str, option: str) -> None:
    """Note that a person typed this option for a field of the API, which has another option too."""
    click.get_current_context().meta.setdefault(_TYPED, {})[field] = option


def explained(faults: Iterable[Mapping[str, str]], command: click.Command | None) -> list[str]:
    """Return one line for each fault: the option of `command` that it concerns, and what is wrong.

    A fault has a `detail` and a JSON pointer (RFC 6901), a query parameter or a header. A field that `command` has
    no option for keeps the API's name. Raises KeyError where a fault is not such a document.
    """
    options = _options(command)
    return [f"{_named(_place(fault), options)}: {_translated(fault['detail'], options)}" for fault in faults]


def _options(command: click.Command | None) -> dict[str, str]:
    """Return what a person types for each field of the API: `--at`, or `ADDRESS` for an argument."""
    context = click.get_current_context(silent=True)
    chosen: dict[str, str] = context.meta.get(_TYPED, {}) if context else {}
    return {_camel_case(one.name or ""): _typed(one) for one in (command.params if command else ())} | chosen


def _typed(parameter: click.Parameter) -> str:
    return max(parameter.opts, key=len) if isinstance(parameter, click.Option) else parameter.human_readable_name


def _camel_case(name: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)


def _place(fault: Mapping[str, str]) -> list[str]:
    """Return the path to the value at fault."""
    if "pointer" not in fault:
        return [fault["parameter"] if "parameter" in fault else fault["header"]]
    steps = [step.replace("~1", "/").replace("~0", "~") for step in fault["pointer"].split("/")[1:]]
    # What `notify retry` filters by, the API takes as one field.
    return steps[1:] if steps[:1] == ["filter"] and len(steps) > 1 else steps


def _named(place: list[str], options: Mapping[str, str]) -> str:
    if not place:
        return "the request"
    field, *inside = place
    option = options.get(field) or options.get(RENAMED.get(field, ""), field)
    return " ".join([option, *(f"(number {int(step) + 1})" if step.isdecimal() else step for step in inside)])


def _translated(detail: str, options: Mapping[str, str]) -> str:
    return _TWO_WORDS.sub(lambda match: options.get(match[0], match[0]), detail)
