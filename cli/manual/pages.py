"""Manual page of each command, from its code and from examples.json."""

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
    "DATABASE_URL": "PostgreSQL; if not set, that of the `notify up` which runs on DATA_DIR",
    "DATA_DIR": "the data directory of `notify up`; default .data",
}
REDIS = {"REDIS_URL": "Redis or Valkey; if not set, that of the same `notify up`"}
# For each need of a command: the environment variables that it reads, and its exit codes besides 0 and 2.
ENVIRONMENT: dict[str, dict[str, str]] = {
    "api": {
        "NOTIFY_URL": "the address of the API; if not set, that of the `notify up` which runs on DATA_DIR",
        "NOTIFY_KEY": "the API key",
        "DATA_DIR": DATABASE["DATA_DIR"],
    },
    "database": DATABASE,
    "domains": {
        **DATABASE,
        "DOMAIN_KEYS_SECRET": "the secret that encrypts private keys, as the API and the workers have it",
        "SPF_INCLUDE, DNS_SERVER": "as for the API and the workers: see docs/tuning.md",
    },
    "servers": {**DATABASE, **REDIS, "SMTP_URL": "the mail server (only `notify doctor`)"},
    "settings": {"DATABASE_URL, REDIS_URL, ...": "all settings: see docs/configuration.md"},
    "data": {"DATA_DIR": DATABASE["DATA_DIR"]},
    "smtp": {
        "BODY_LIMIT, RECIPIENTS_LIMIT": "limits that it announces: give it the values of the API",
        "LOG_LEVEL, LOG_FORMAT, SHUTDOWN_GRACE": "as for the API: see docs/configuration.md",
        "DATA_DIR": DATABASE["DATA_DIR"],
    },
    "bounces": {
        **DATABASE,
        "IMAP_PASSWORD": "the password of the mailbox of --imap",
        "REPORT_SECRET, SMTP_EHLO_NAME": "as for the workers: see docs/configuration.md",
        "LOG_LEVEL, LOG_FORMAT, SHUTDOWN_GRACE": "as for the API: see docs/configuration.md",
    },
    "up": {
        "DATA_DIR": DATABASE["DATA_DIR"],
        "DATABASE_URL, REDIS_URL, SMTP_URL": "if set, used instead of a server that `notify up` starts",
        "BIND": "the address that the API listens on; default 127.0.0.1:8000",
    },
}
CODES_OF = {
    "api": (1, 3),
    "database": (1, 3, 4),
    "domains": (1, 3, 4),
    "servers": (1, 3, 4),
    "settings": (1, 3, 4),
    "data": (1,),
    "smtp": (1, 4),
    "bounces": (1, 3, 4),
    "up": (1, 4),
}


class Option(NamedTuple):
    """Option, argument or command: how it is written, and its help."""

    names: str
    help: str


class Page(NamedTuple):
    """Manual page of a command. `path` has its words after `notify`, and is empty for `notify` itself."""

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
def _entries() -> dict[str, Any]:
    entries: dict[str, Any] = json.loads(EXAMPLES.read_text())
    return entries


def summary(name: str) -> str:
    """Return the summary of a command without importing it; empty if examples.json has none."""
    found: str = _entries().get(name, {}).get("about", "")
    return found


def equip(command: click.Command, path: str) -> click.Command:
    """Append examples, environment and exit codes to the --help of a command and of its subcommands."""
    if command.epilog is None and path in _entries():
        command.epilog = _epilog(path)
    if isinstance(command, click.Group) and path:
        for name, one in command.commands.items():
            equip(one, f"{path} {name}")
    return command


def pages(root: click.Group) -> Iterator[Page]:
    """Yield the page of `notify`, then those of each command and its subcommands."""
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
        [(line, why) for line, why in _entries().get(path, {}).get("examples", ())],
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
    needs = _entries().get(path, {}).get("needs", ())
    return {name: what for need in needs for name, what in ENVIRONMENT[need].items()}


def _codes(path: str) -> dict[int, str]:
    entry = _entries().get(path, {})
    codes = {0, 2, *entry.get("codes", ()), *(code for need in entry.get("needs", ()) for code in CODES_OF[need])}
    return {code: what for code, what in CODES.items() if code in codes or not path}


def _epilog(path: str) -> str:
    """Return the end of --help. In click, \\b keeps the lines of a paragraph as they are."""
    parts = [["Examples:", *(f"  {line}\n      {why}" for line, why in _entries()[path]["examples"])]]
    if environment := _environment(path):
        widest = max(map(len, environment))
        parts.append(["Environment:", *(f"  {name:<{widest}}  {what}" for name, what in environment.items())])
    parts.append(["Exit codes:", *(f"  {code:<3} {what}" for code, what in _codes(path).items())])
    return "\n\n".join("\b\n" + "\n".join(lines) for lines in parts)
