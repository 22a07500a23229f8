"""Text that a command reads from a file or, where `-` is given, from standard input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

STANDARD_INPUT = "-"
file = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)


def text_of(path: Path, option: str) -> str:
    """Return the text of the file that was given with `option`; raises BadParameter."""
    return standard_input(option) if str(path) == STANDARD_INPUT else _decoded(path.read_bytes(), option, str(path))


def text(value: str, option: str) -> str:
    """Return the value of `option` itself, or standard input for `-`; raises BadParameter."""
    return standard_input(option) if value == STANDARD_INPUT else value


def json_in(written: str, option: str) -> Any:
    """Return the JSON value in the text that `option` gave; raises BadParameter."""
    try:
        return json.loads(written)
    except (ValueError, RecursionError) as error:
        place = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise click.BadParameter(f"is not JSON{place}", param_hint=option) from None


def object_in(written: str, option: str) -> dict[str, Any]:
    """Return the JSON object in the text that `option` gave; raises BadParameter."""
    document = json_in(written, option)
    if not isinstance(document, dict):
        raise click.BadParameter('must be a JSON object, such as {"name": "Ann"}', param_hint=option)
    return document


def standard_input(option: str) -> str:
    """Return all of standard input, once in the run of a command; raises BadParameter."""
    context = click.get_current_context()
    earlier = context.meta.setdefault(f"{__name__}.option", option)
    if earlier != option:
        raise click.BadParameter(f"standard input is read by {earlier} already: give a file", param_hint=option)
    with click.open_file(STANDARD_INPUT, "rb") as stream:
        return _decoded(stream.read(), option, "standard input")


def _decoded(raw: bytes, option: str, source: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise click.BadParameter(f"{source} is not UTF-8 text", param_hint=option) from None
