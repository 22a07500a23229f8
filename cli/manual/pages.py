"""What there is to say of each command, from its code and from examples.json."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import click

from cli.terminal.failure import CODES

EXAMPLES = Path(__file__).with_name("examples.json")
DATABASE = {
    "DATABASE_URL": "PostgreSQL; where it is not set, that of the `notify up` which runs on DATA_DIR",
    "DATA_DIR": "where `notify up` keeps its data; .data unless set",
}
REDIS = {"REDIS_URL": "Redis or Valkey; where it is not set, that of the same `notify up`"}
# Of each thing that a command may need: what it reads in the environment, and how it can end besides 0 and 2.
ENVIRONMENT: dict[str, dict[str, str]] = {
    "api": {"NOTIFY_URL": "where the API is; http://127.0.0.1:8000 unless set", "NOTIFY_KEY": "the key for it"},
    "database": DATABASE,
    "servers": {**DATABASE, **REDIS, "SMTP_URL": "the mail server (`notify doctor` alone)"},
    "data": {"DATA_DIR": DATABASE["DATA_DIR"]},
    "up": {
        "DATA_DIR": DATABASE["DATA_DIR"],
        "DATABASE_URL, REDIS_URL, SMTP_URL": "where set, used instead of servers of its own",
        "BIND": "where the API listens; 127.0.0.1:8000 unless set",
    },
}
ENDS = {"api": (1, 3), "database": (1, 3, 4), "servers": (1, 3, 4), "data": (1,), "up": (1, 4)}


class Option(NamedTuple):
    """An option or an argument: how it is written, and what it is for."""

    names: str
    help: str


class Page(NamedTuple):
    """All that is to be said of a command. `path`: its words after `notify`, none for `notify` itself."""

    path: str
    summary: str
    usage: str
    paragraphs: list[str]
    options: list[Option]
    commands: list[Option]
    examples: list[tuple[str, str]]
    environment: dict[str, str]
    codes: dict[int, str]

    @property
    def name(self) -> str:
        return f"notify {self.path}".rstrip()


@cache
def _told() -> dict[str, Any]:
    told: dict[str, Any] = json.loads(EXAMPLES.read_text())
    return told


def summary(name: str) -> str:
    """What a command is for, without loading it; empty where that is not written down."""
    found: str = _told().get(name, {}).get("about", "")
    return found


def equip(command: click.Command, path: str) -> click.Command:
    """Have its --help, and that of its commands, end with examples, environment and exit codes."""
    if command.epilog is None and path in _told():
        command.epilog = _epilog(path)
    if isinstance(command, click.Group) and path:
        for name, one in command.commands.items():
            equip(one, f"{path} {name}")
    return command


def pages(root: click.Group) -> Iterator[Page]:
    """`notify` itself, then each command and its commands."""
    yield from _pages(root, click.Context(root, info_name="notify", **root.context_settings), "")


def _pages(command: click.Command, context: click.Context, path: str) -> Iterator[Page]:
    yield _page(command, context, path)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            one = command.get_command(context, name)
            if one is not None and not one.hidden:
                yield from _pages(one, click.Context(one, context, name), f"{path} {name}".strip())


def _page(command: click.Command, context: click.Context, path: str) -> Page:
    first, *rest = _paragraphs(command)
    return Page(
        path,
        command.get_short_help_str(200) if command.short_help else first,
        " ".join([context.command_path, *command.collect_usage_pieces(context)]),
        [first, *rest],
        [Option(*record) for p in command.get_params(context) if (record := p.get_help_record(context)) and record[1]],
        list(_commands(command, context)),
        [(line, why) for line, why in _told().get(path, {}).get("examples", ())],
        _environment(path),
        _codes(path),
    )


def _commands(command: click.Command, context: click.Context) -> Iterator[Option]:
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            one = command.get_command(context, name)
            if one is not None and not one.hidden:
                yield Option(name, one.get_short_help_str(200))


def _paragraphs(command: click.Command) -> list[str]:
    text = inspect.cleandoc(command.help or "")
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]


def _environment(path: str) -> dict[str, str]:
    needs = _told().get(path, {}).get("needs", ())
    return {name: what for need in needs for name, what in ENVIRONMENT[need].items()}


def _codes(path: str) -> dict[int, str]:
    told = _told().get(path, {})
    ends = {0, 2, *told.get("codes", ()), *(code for need in told.get("needs", ()) for code in ENDS[need])}
    return {code: what for code, what in CODES.items() if code in ends or not path}


def _epilog(path: str) -> str:
    """As click shows it: \\b keeps the lines of a paragraph as they are."""
    told = [f"  {line}\n      {why}" for line, why in _told()[path]["examples"]]
    parts = [["Examples:", *told]]
    if environment := _environment(path):
        widest = max(map(len, environment))
        parts.append(["Environment:", *(f"  {name:<{widest}}  {what}" for name, what in environment.items())])
    parts.append(["Exit codes:", *(f"  {code:<3} {what}" for code, what in _codes(path).items())])
    return "\n\n".join("\b\n" + "\n".join(lines) for lines in parts)
